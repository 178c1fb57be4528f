import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { explained, peerFlags } from '../../../src/cli/peer-flags.js'
import { peerSnapshot } from '../../../src/cli/peer-commands.js'
import { rootFolder } from '../../support/fixtures.js'

interface Flag {
  readonly char?: string
}

const { commands } = JSON.parse(fs.readFileSync(join(rootFolder, 'oclif.manifest.json'), 'utf8')) as {
  readonly commands: Readonly<Record<string, { readonly flags: Readonly<Record<string, Flag>> }>>
}

/** Names and letters of a command's flags. */
function flagsOf(id: string): ReadonlySet<string> {
  const flags = Object.entries(commands[id]?.flags ?? {})
  return new Set(flags.flatMap(([name, { char }]) => (char === undefined ? [name] : [name, char])))
}

const here = (id: string, line: string): string => peerFlags(line.split(' '), flagsOf(id)).join(' ')

test('command lines of qemu-img, as vdisk has them', () => {
  for (const [id, line, wanted] of [
    ['convert', '-f vhdx -O qcow2 -c -p a b', '--from vhdx --to qcow2 --compress zlib --progress bar a b'],
    ['convert', '-fRAW -Oqcow2 a b', '--from raw --to qcow2 a b'],
    ['convert', '-f VHDX -O VPC a b', '--from vhdx --to vpc a b'],
    ['convert', '-fold a b', '-fold a b'],
    ['convert', '-o adapter_type=ide,hwversion=6 a b', '-o adapter=ide -o hardware-version=6 a b'],
    ['create', '-o backing_file=b,backing_fmt=qcow2 a', '--parent b --parent-format qcow2 a'],
    ['convert', '-S 4k -q a b', '--sparse 4k --quiet a b'],
    ['convert', '-o compression_type=zstd,cluster_size=64k a b', '-o compress=zstd -o cluster-size=64k a b'],
    ['convert', '-o data-file=/a,b a b', '-o data-file=/a,b a b'],
    ['convert', '-f a b', '-f a b'],
    ['create', '-f qcow2 a 10G', '--to qcow2 a 10G'],
    ['create', '-f a 10G', '-f a 10G'],
    ['create', '-f qcow2 -b base -F raw a', '--to qcow2 --parent base --parent-format raw a'],
    ['info', '--output=json a', '--json a'],
    ['info', '--output json a', '--json a'],
    ['check', '--output=human a', 'a'],
    ['map', '--output=json a', '--output qemu a'],
    ['map', '--output qemu a', '--output qemu a'],
    ['doctor', '--mend --output a.vhdx b', '--mend --output a.vhdx b'],
    ['compare', '-f qcow2 -F vhdx a b', '--from qcow2 --second-from vhdx a b'],
    // Letters that are vdisk's own.
    ['ls', '-l a', '-l a'],
    ['cp', '-r a b', '-r a b'],
    ['serve', '-t a', '-t a'],
    ['convert', 'a b -- -O', 'a b -- -O'],
  ] as const)
    assert.equal(here(id, line), wanted, `${id} ${line}`)
})

test('what qemu-img has and vdisk does otherwise is explained, with flags and commands that are there', () => {
  for (const [word, , advice] of explained) {
    const saying = Object.keys(commands).filter((id) => {
      try {
        here(id, `a ${word}`)
        return false
      } catch (error) {
        return (error as { readonly hint?: string }).hint === advice
      }
    })
    assert.ok(saying.length > 0, `${word}: ${advice}`)
  }
  for (const [id, line, hint] of [
    ['convert', '-r 10M a b', /--rate/],
    ['check', '-r all a', /vdisk repair/],
    ['map', '-l 1M a', /--range/],
    ['convert', '-l one a b', /--snapshot/],
    ['create', '-s 1G a', /behind the name/],
    ['create', 'a --size=1G', /behind the name/],
    ['create', '-o size=1G a', /behind the name/],
    ['info', '--format raw a', /--from/],
    ['convert', '--format raw a b', /--to/],
  ] as const)
    assert.throws(() => here(id, line), { code: 'E_USAGE', hint }, `${id} ${line}`)
  assert.equal(here('convert', '--size 1G a b'), '--size 1G a b')
  // A letter is explained only where it is what the other program means.
  for (const [id, line] of [
    ['ls', '-r a'],
    ['cat', '-n a'],
    ['hash', '-B a'],
  ] as const)
    assert.equal(here(id, line), line)
  for (const line of ['if=a of=b', 'a b bs=4M', 'a b status=progress', 'a b skip=1'])
    assert.throws(() => here('convert', line), { code: 'E_USAGE' }, line)
  assert.equal(here('convert', 'size=1.raw b'), 'size=1.raw b')
  const flags = new Set(Object.values(commands).flatMap((command) => Object.keys(command.flags)))
  for (const [word, , hint] of explained) {
    for (const [, name = ''] of hint.matchAll(/--(?:no-)?([a-z-]+)/g)) assert.ok(flags.has(name), `${word}: ${name}`)
    for (const [, name = ''] of hint.matchAll(/vdisk ((?:chain )?(?:show|info|check|repair|restore))/g))
      assert.ok(commands[name.replace(' ', ':')] !== undefined, `${word}: ${name}`)
  }
})

test('snapshots as qemu-img names them', () => {
  const words = (line: string) => peerSnapshot(line.split(' '))?.join(' ')
  assert.equal(words('snapshot -l a.qcow2 --json'), 'snapshot list a.qcow2 --json')
  assert.equal(words('snapshot -c one a.qcow2'), 'snapshot create a.qcow2 one')
  assert.equal(words('snapshot -d one a.qcow2 --dry-run'), 'snapshot delete a.qcow2 one --dry-run')
  assert.equal(words('snapshot --help'), undefined)
  assert.equal(words('convert -l'), undefined)
  assert.throws(() => words('snapshot -a one a.qcow2'), { code: 'E_USAGE' })
})
