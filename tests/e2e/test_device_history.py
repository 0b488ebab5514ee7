"""What devices did: the first point at once, a restart that keeps it, and the command line, on a real server and its own machine's CPU."""
import datetime

from conftest import Server, until


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def history(server, query=""):
    [worker] = server.items("/api/v1/workers")
    answer = server.api("GET", f"/api/v1/workers/{worker['name']}/devices/history{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_from_the_first_report_and_over_a_restart(tmp_path):
    server = Server(tmp_path / "data").start()
    try:
        told = until(lambda: (lambda found: found if found["items"] else None)(history(server)), "the first report is there, before its minute is over")
        [cpu] = told["items"]
        [device] = server.items("/api/v1/devices")
        assert cpu["id"] == device["id"] and cpu["name"] == device["name"] and told["step_seconds"] == 60
        assert moment(told["measured_since"]) <= moment(told["to"]) < moment(told["measured_since"]) + datetime.timedelta(minutes=5)
        used = [value for value in cpu["memory_used_bytes"] if value is not None]
        assert cpu["memory_used_bytes"][-1] == used[-1] and len(used) < 5 and len(cpu["memory_used_bytes"]) in (60, 61)
        assert 0 < used[-1] < device["memory_total_bytes"]
        assert all(0 <= mean <= most <= 1 for mean, most in zip(cpu["utilization"], cpu["utilization_max"]) if mean is not None)
        if device["temperature_celsius"] is None:
            assert set(cpu["temperature_celsius"]) == {None}, "what nobody tells is no number"

        [line] = server.cli("devices", "--history", "--no-headers").stdout.splitlines()
        assert line.startswith(device["worker_name"]) and "cpu/0" in line and "iB" in line and "%" in line, line
        assert "measured since" in server.cli("devices", "--history").stderr
        listed = server.cli_json("devices", "--history", "--worker", device["worker_name"], "--since", "24h")["items"]
        assert [one["id"] for one in listed] == [device["id"]] and listed[0]["worker_name"] == device["worker_name"]
        assert listed[0]["step_seconds"] == 300
        refused = server.cli("devices", "--history", "--worker", "nobody", check=False)
        assert refused.returncode != 0 and "nobody" in refused.stderr
        refused = server.cli("devices", "--history", "--since", "yesterday", check=False)
        assert refused.returncode != 0 and "\"from\"" in refused.stderr
        assert server.cli_json("devices", "--worker", device["worker_name"])["items"][0]["id"] == device["id"]
        assert server.cli("devices", "--worker", "nobody", check=False).returncode != 0

        server.stop()
        server.start()
        after = history(server, "?step=900")
        quarter = moment(told["measured_since"])
        assert moment(after["measured_since"]) == quarter.replace(minute=quarter.minute // 15 * 15), "a quarter of an hour is kept"
        assert any(value is not None for value in after["items"][0]["memory_used_bytes"])
    finally:
        server.stop()
    assert "what devices did" not in server.log(), "it was stored"
