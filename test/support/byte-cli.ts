import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { assertNoWarning, root } from './cli.js'

/** A word of a command line: text, or bytes that need not be UTF-8. */
export type Word = string | Uint8Array

/** Words put together. */
export const word = (...pieces: Word[]): Buffer =>
  Buffer.concat(pieces.map((piece) => Buffer.from(piece as Uint8Array)))

/** Runs a program with words of any bytes, which Node cannot hand over itself: through a shell. */
export function runWords(
  cwd: Word,
  program: readonly string[],
  words: readonly Word[],
): { readonly code: number | null; readonly stdout: Buffer; readonly stderr: string } {
  const quoted = (each: Word): Buffer =>
    word(
      "'",
      Buffer.from(
        Buffer.from(each as Uint8Array)
          .toString('latin1')
          .replaceAll("'", "'\\''"),
        'latin1',
      ),
      "'",
    )
  const script = word(
    'cd -- ',
    quoted(cwd),
    ' && exec',
    ...[...program, ...words].flatMap((each) => [' ', quoted(each)]),
    '\n',
  )
  const { status, stdout, stderr } = spawnSync('/bin/sh', ['-s'], {
    input: script,
    env: { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', VDISK_DATA_DIR: '/nonexistent', TERM: 'dumb' },
    maxBuffer: 64 * 1048576,
  })
  assertNoWarning(stderr.toString())
  return { code: status, stdout, stderr: stderr.toString() }
}

/** The built command line, likewise. */
export function vdiskWords(cwd: Word, ...words: Word[]): ReturnType<typeof runWords> {
  return runWords(cwd, [process.execPath, join(root, 'bin/run.js')], words)
}

/** Names of every awkward kind that a filesystem of this system takes. */
export function awkwardNames(folder: string): Buffer[] {
  const names: Word[] = [
    'tab\there',
    'line\nend',
    'bell\u0007',
    'mark\u200e',
    '\ufeffbom',
    'zero\u200bwidth',
    'tag\u{e0001}',
    'mark\ufffd',
    Buffer.from('caf\xe9', 'latin1'),
    Buffer.of(0xed, 0xa0, 0x80, 0x61),
    Buffer.of(0xff, 0xfe, 0x2f - 1),
    Buffer.of(0xc3),
    'nbd:x',
    'file:x',
    'json:{}',
    'C:x',
    'back\\slash',
    'a@1',
    "quo'te",
    '%41',
  ]
  return names
    .map((name) => Buffer.from(name as Uint8Array))
    .filter((name) => {
      const path = word(folder, '/', name)
      try {
        fs.writeFileSync(path, '')
        fs.unlinkSync(path)
        return true
      } catch {
        // Filesystems that keep names as Unicode.
        return false
      }
    })
}
