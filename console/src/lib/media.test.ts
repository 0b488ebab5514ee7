import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf, moment, pictureType, webUrl } from "./media.ts";

test("pictures by their first bytes", () => {
  assert.equal(pictureType(btoa("\x89PNG\r\n\x1a\n")), "image/png");
  assert.equal(pictureType(btoa("\xff\xd8\xff\xe0")), "image/jpeg");
  assert.equal(pictureType(btoa("RIFF....WEBP")), "image/webp");
  assert.deepEqual([...bytesOf(btoa("\x00\xff"))], [0, 255]);
});

test("addresses and times", () => {
  assert.equal(webUrl("https://h/x.png"), "https://h/x.png");
  assert.equal(webUrl("javascript:alert(1)"), "");
  assert.equal(webUrl(undefined), "");
  assert.equal(moment(75.44), "1:15.4");
  assert.equal(moment(3), "0:03.0");
});
