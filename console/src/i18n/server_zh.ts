// What the server says in English (reasons, refusals, suggestions, formulas), put into Chinese as far as it is known here. Each entry is
// a part of a text; what none of them knows stays as it is. server_zh.test.ts holds them against texts of the server's own sources.

type Part = [RegExp, string];

const SIZE = String.raw`[\d.,]+ [kKMGT]?i?B`;

/** Each is tried in this order; names in quotes and numbers go over as they are. */
export const PARTS: Part[] = [
  // Placement: src/placement/texts.cc, scheduler.cc, worker_filters, device_filters.
  [/no worker can take it: /g, "没有节点能容纳它："],
  [/no worker is there to run it: start one, or the server without --no-worker/g, "没有可用的节点：请启动一个，或不带 --no-worker 启动服务器"],
  [new RegExp(`(\\S+) has (${SIZE}) of (${SIZE}) left, and (${SIZE}) is needed`, "g"), "$1 剩余 $2（共 $3），需要 $4"],
  [new RegExp(`a deleted deployment holds (${SIZE})`, "g"), "已删除的部署占用 $1"],
  [new RegExp(`"([^"]+)" holds (${SIZE})`, "g"), "“$1”占用 $2"],
  [new RegExp(`others use (${SIZE})`, "g"), "其他程序占用 $1"],
  [new RegExp(` \\((${SIZE}) of each of (\\d+) equal ones\\)`, "g"), "（$2 个相同设备各需 $1）"],
  [new RegExp(`(${SIZE}) of memory is needed beside the devices, and (${SIZE}) is left`, "g"), "除设备外还需要 $1 内存，剩余 $2"],
  [/(\d+) of the (\d+) devices asked for would do/g, "所要求的 $2 个设备中只有 $1 个可用"],
  [/its devices can't be used together/g, "它的设备不能一起使用"],
  [/(\d+) layers can't be split over (\d+) devices/g, "$1 层无法分到 $2 个设备"],
  [/(\d+) ([\w ]+?) can't be split over (\d+) devices/g, "$1 个 $2 无法分到 $3 个设备"],
  [/the machine's memory is one device/g, "机器内存只算一个设备"],
  [/it has no devices/g, "它没有设备"],
  [/and (\d+) more$/g, "另有 $1 个"],
  [/ with (\d+) of (\d+) layers, the rest in memory/g, "，其中 $2 层中的 $1 层在设备上，其余在内存"],
  [/; its need is unknown: /g, "；所需资源未知："],
  [/nothing is booked for it/g, "未为它预订资源"],
  [/, the best of (\d+) that would do \((\w+)\)/g, "，$1 个可行位置中最好的（$2）"],
  [/(\S+) is cordoned: it takes no new instances/g, "$1 已隔离，不接收新实例"],
  [/(\S+) lacks the label /g, "$1 缺少标签 "],
  [/(\S+) has not reported yet/g, "$1 尚未上报"],
  [/(\S+) is unreachable since /g, "$1 失联，自 "],
  [/its worker has not reported since /g, "其节点失联，自 "],
  [/not among the devices chosen by hand: /g, "不在手动指定的设备中："],
  [/(\S+) is none of the types asked for: /g, "$1 不是所要求的类型："],
  [/not healthy: /g, "不健康："],
  [/(\S+) can't run it: /g, "$1 无法运行它："],
  [/the model's files do not say: /g, "模型文件未说明："],
  [/there is no device "([^"]*)"; there are: /g, "没有设备“$1”；现有："],
  [/reading the model's files/g, "正在读取模型文件"],
  // Which quantization: src/control/quantization.cc.
  [/(\S+) of (\d+) quantizations: /g, "$2 个量化版本中的 $1："],
  [/all of it fits on accelerators, and there is none in fewer bits that does/g, "可全部放入加速卡，且没有更低位数的版本可用"],
  [/the largest in fewer than 16 bits that fits wholly on accelerators/g, "低于 16 位且可全部放入加速卡的最大版本"],
  [/the usual one, since part of it or all is computed in memory/g, "常用版本，因为部分或全部在内存中计算"],
  [/the nearest to the usual one in size that has room for a good context/g, "大小最接近常用版本且有足够上下文空间的版本"],
  [/none has room for a longer context/g, "没有版本能容纳更长的上下文"],
  [/whether any fits is not known/g, "无法得知是否有版本可用"],
  [/none fits here, and this is the usual one/g, "没有版本可容纳，这是常用版本"],
  [/; (\S+) does not fit$/g, "；$1 放不下"],
  // Suggestions: src/placement/suggestions.cc.
  [/^a context of ([\d,]+) tokens$/g, "上下文 $1 词元"],
  [/^(\d+) sequence(?:s)? at once$/g, "并发 $1 个请求"],
  [/^keys and values in (\S+)$/g, "KV 缓存使用 $1"],
  [/^layers in memory: (\d+) of (\d+) would be on devices$/g, "部分层放在内存：$2 层中的 $1 层在设备上"],
  [/^(\d+) device(?:s)?$/g, "$1 个设备"],
  [/^devices of another type: (.+) would do$/g, "其他类型的设备：$1 可用"],
  [/^no devices chosen by hand: (.+) would do$/g, "不手动指定设备：$1 可用"],
  [new RegExp(`^the same model quantized to (\\S+), about (${SIZE})$`, "g"), "同一模型量化为 $1，约 $2"],
  [new RegExp(`^"(.+)" stopped, which frees (${SIZE})$`, "g"), "停止“$1”，可释放 $2"],
  [/^the backend (\S+)$/g, "后端 $1"],
  // States: src/control/status.cc, src/worker, src/sources.
  [/(\d+) instance(?:s are| is) still stopping/g, "还有 $1 个实例正在停止"],
  [/0 replicas are wanted/g, "副本数为 0"],
  [/"([^"]+)" is not put to sleep, because requests to it are answered or held right now: try again when they ended \(`gantry requests` lists them\), or stop it, which ends them/g, "“$1”未休眠：它的请求正在处理或等待，请稍后再试，或停止它（停止会终止这些请求）"],
  [/asleep until a request comes/g, "休眠中，有请求时唤醒"],
  [/(\d+) of (\d+) replicas are running/g, "$2 个副本中有 $1 个在运行"],
  [/waits until its former instance has stopped/g, "等待之前的实例停止"],
  [/waits for its download/g, "等待下载"],
  [/asks the hub for its files/g, "正在询问模型库"],
  [/invalid model file: /g, "模型文件无效："],
  [/exited with status (\d+)/g, "退出，状态码 $1"],
  [/killed by (SIG\w+)/g, "被 $1 终止"],
  [/trying again now/g, "正在重试"],
  [/next try in (\d+) s/g, "$1 秒后重试"],
  [/crash loop: (.+?) (\d+) times; /g, "反复崩溃：$1（$2 次）；"],
  [/see gantry logs (\S+)/g, "见 $1 的日志"],
  [/did not become ready within ([\d.]+) s/g, "$1 秒内未就绪"],
  [/(\S+) does not exist on this machine/g, "本机上没有 $1"],
  [/what was downloaded is not what the hub lists: its digest is (\S+), not (\S+); it was deleted/g, "下载内容与模型库列出的不一致：摘要为 $1，应为 $2；已删除"],
  [/Hugging Face knows no (\S+) that everybody may read: check the name, or set HF_TOKEN/g, "Hugging Face 上没有公开的 $1：请检查名称，或设置 HF_TOKEN"],
  [/ModelScope has no (\S+)/g, "ModelScope 上没有 $1"],
  [/(\S+) is gated: ask for access at/g, "$1 需要申请访问："],
  [/has no revision "([^"]*)"/g, "没有版本“$1”"],
  [/has no file "([^"]*)"/g, "没有文件“$1”"],
  [/the repository holds (\d+) models; choose one by its quantization or its file: /g, "仓库中有 $1 个模型，请按量化或文件选择："],
  [/the repository holds no (\S+); there are /g, "仓库中没有 $1；现有 "],
  [/; there are /g, "；现有 "],
  // Refusals: src/control, src/gateway.
  [/^the name or the password is wrong$/g, "用户名或密码错误"],
  [/^the current password is wrong$/g, "当前密码不正确"],
  [/it was changed meanwhile: the version is (\d+), the edit saw (\d+); read it again and repeat the edit/g, "期间已被他人修改：当前版本为 $1，编辑基于 $2；请重新打开后再修改"],
  [/"(\w[\w.]*)" is required/g, "“$1”必填"],
  [/(?:there is a|a) (\w+) "([^"]+)" already: (?:edit that one, or )?take another name/g, "已有名为“$2”的对象，请换一个名称"],
  [/The model '([^']+)' does not exist here\. GET \/v1\/models lists those that do\./g, "这里没有模型“$1”。"],
  [/The model '([^']+)' is not ready: none of those behind it has a running instance\. Try again in a moment\./g, "模型“$1”尚未就绪：没有正在运行的实例，请稍后再试。"],
  [/The model '([^']+)' is stopped\. Start it first \(gantry start [^)]+\)\./g, "模型“$1”已停止，请先启动它。"],
  [/The model '([^']+)' was deployed anew meanwhile\. Try again\./g, "模型“$1”期间被重新部署，请重试。"],
  [/This (?:key|user) may not use the model '([^']+)'\. GET \/v1\/models lists those that (?:it|they) may\./g, "无权使用模型“$1”。"],
  [/Over the limit of (\d+) (requests|tokens) a minute of this (key|user)\. Try again in (\d+) s\./g, "超过每分钟 $1 的限额，请在 $4 秒后重试。"],
  [/This (key|user) has (\d+) requests running, as many as it may have at once\. Wait for one to end\./g, "已有 $2 个请求在运行，达到并发上限，请等待其中一个结束。"],
  [/The budget of (\d+) tokens a month of this (?:key|user) is used up\. It begins anew at (\S+);/g, "每月 $1 词元的额度已用完，将于 $2 重新计算；"],
  // Formulas of estimates: src/placement/estimates.
  [/^the file, mapped$/g, "文件映射"],
  [/^quantised matrices once more, in the order in which the kernels read them$/g, "量化矩阵按内核读取的顺序再存一份"],
  [/([\d,]+) layers x ([\d,]+) KV heads x/g, "$1 层 × $2 个 KV 头 ×"],
  [/([\d,]+) rows: mask /g, "$1 行：掩码 "],
  [/, activations /g, "，激活 "],
  [/, or ([\d,]+) rows of logits /g, "，或 $1 行 logits "],
  [/([\d,]+) sequences x ([\d,]+) tokens of vocabulary/g, "$1 个序列 × 词表 $2"],
  [/([\d,]+) tokens of vocabulary/g, "词表 $1"],
  [/([\d,]+) cells x /g, "$1 个单元 × "],
  [/([\d,]+) tokens$/g, "$1 词元"],
];

/** Of errors whose words are not known: by their code; the words follow. */
export const CODES: Record<string, string> = {
  wrong_password: "当前密码不正确",
  model_not_allowed: "无权使用这个模型",
  model_not_found: "没有这个模型",
  rate_limit_exceeded: "超过限额",
  insufficient_quota: "额度已用完",
  insufficient_scope: "密钥权限不足",
  forbidden: "权限不足",
  conflict: "与现状冲突",
  server_stopping: "服务器正在停止",
  invalid_model_file: "模型文件无效",
  context_length_exceeded: "超过上下文长度",
};

export function inChinese(text: string): string {
  let out = text;
  for (const [part, chinese] of PARTS) out = out.replace(part, chinese);
  // Between parts that are Chinese now stand Chinese marks.
  return out === text ? out : out.replace(/, (?=“)/g, "，").replace(/: (?=“)/g, "：").replace(/; (?=[\u4e00-\u9fff])/g, "；");
}
