import assert from 'node:assert/strict'
import { test } from 'node:test'
import { quickestFirst } from '../../../src/remote/ssh/ciphers.js'

test("ciphers: the quickest goes before ssh's own order, and a configuration that names some counts", () => {
  assert.equal(
    quickestFirst(
      'chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com',
    ),
    'aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes256-gcm@openssh.com',
  )
  assert.equal(
    quickestFirst(
      'chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr',
    ),
    'aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr',
  )
  for (const named of [
    '',
    'chacha20-poly1305@openssh.com',
    'aes256-gcm@openssh.com,aes128-gcm@openssh.com',
    'aes256-ctr,aes128-gcm@openssh.com,chacha20-poly1305@openssh.com',
    'chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes256-gcm@openssh.com',
  ])
    assert.equal(quickestFirst(named), undefined, named)
})
