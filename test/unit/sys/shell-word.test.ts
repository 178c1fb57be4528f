import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { shellWord } from '../../../src/sys/shell-word.js'
import { have } from '../../support/tools.js'

/** The bytes of the one argument that a shell makes of a line. */
function argument(shell: string, line: string): Buffer {
  const { status, stdout, stderr } = spawnSync(shell, ['-c', `printf '%s\\0' ${line}`])
  assert.equal(status, 0, String(stderr))
  return stdout
}

/** A path as bytes: what is not UTF-8 stands as U+DC00 + byte. */
function bytesOf(path: string): Buffer {
  return Buffer.concat(
    Array.from(path, (character) => {
      const code = character.codePointAt(0) ?? 0
      return code >= 0xdc80 && code <= 0xdcff ? Buffer.from([code - 0xdc00]) : Buffer.from(character)
    }),
  )
}

const names = [
  'disk.raw',
  'a disk.raw',
  "it's.raw",
  'a"b`c$(d).raw',
  'new\nline.raw',
  "all 'at\nonce\\.raw",
  'caf\udce9.raw',
  'caf\udce91.raw',
  'back\\slash.raw',
  'tab\tname.001',
  'right\u202eto-left.raw',
  'é ü 日本.raw',
  '*?[a].raw',
  '~root',
  '#hash',
  'a=b;c&d|e>f<g',
  '!history',
]

test('what is printed is what a shell runs', (t) => {
  if (!have(t, 'bash')) return
  for (const name of names)
    assert.deepEqual(argument('bash', shellWord(name)), Buffer.concat([bytesOf(name), Buffer.of(0)]), shellWord(name))
})

test('plain names stay as they are, and no name is taken for a flag', () => {
  assert.equal(shellWord('images/disk-1.qcow2@2'), 'images/disk-1.qcow2@2')
  assert.equal(shellWord('--force'), './--force')
  assert.equal(shellWord(''), "''")
})

test('nothing that cannot be seen is printed', () => {
  for (const name of names) assert.doesNotMatch(shellWord(name), /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
})
