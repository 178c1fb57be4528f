import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { copyingCommand, noteOn, wordNotes, peerWords } from '../../../src/cli/other-words.js'
import { suggestion } from '../../../src/cli/suggest.js'
import { rootFolder } from '../../support/fixtures.js'

const { commands } = JSON.parse(fs.readFileSync(join(rootFolder, 'oclif.manifest.json'), 'utf8')) as {
  readonly commands: Readonly<Record<string, { readonly flags: object }>>
}
const names = Object.keys(commands).map((id) => id.replace(':', ' '))

test('words of other programs: each once, none a command of vdisk, all for commands that are there', () => {
  const words = Object.values(peerWords).flatMap((line) => line.split(' '))
  assert.deepEqual(
    words.filter((word, index) => words.indexOf(word) !== index || names.includes(word)),
    [],
  )
  assert.deepEqual(
    [...words, ...Object.keys(wordNotes)].filter((word) => !/^[a-z0-9_-]+$/.test(word)),
    [],
  )
  for (const [command, line] of Object.entries(peerWords)) {
    assert.ok(names.includes(command), command)
    for (const word of line.split(' ')) assert.equal(suggestion([word.toUpperCase(), 'a.img'], names), command)
  }
})

test('what is said beside them names commands and flags that are there', () => {
  for (const note of Object.values(wordNotes)) {
    const [, line = '', name = ''] = /"vdisk (([a-z]+)[^"]*)"/.exec(note) ?? []
    assert.ok(names.includes(name), note)
    const flags = Object.keys(commands[name]?.flags ?? {})
    for (const [, flag = ''] of line.matchAll(/--([a-z-]+)/g)) assert.ok(flags.includes(flag), note)
  }
  assert.equal(noteOn('constructor'), undefined)
})

test('a program that copies anything: which command does it depends on what is a device', () => {
  for (const [line, command] of [
    ['dd if=a.img of=/dev/sdb bs=4M', 'restore'],
    ['dd of=a.img if=/dev/sdb', 'image'],
    ['dd if=/dev/sda of=/dev/sdb', 'clone'],
    ['dd if=/dev/zero of=a.img count=1', undefined],
    ['ddrescue -d /dev/sdb a.img map', 'image'],
    ['copy a.img \\\\.\\PhysicalDrive1', 'restore'],
    ['nbdcopy a.img b.img', undefined],
    ['mv a.img /dev/sdb', undefined],
  ] as const)
    assert.equal(copyingCommand(line.split(' ')), command, line)
})

test('the name of a program before its command: the command decides', () => {
  for (const [line, command] of [
    ['qemu-img info a.img', 'info'],
    ['qemu-img resize a.img 1G', 'resize'],
    ['qemu-img', 'convert'],
    ['VBoxManage clonemedium a b', 'convert'],
    ['VBoxManage showmediuminfo a', 'info'],
    ['hdiutil attach a.dmg', 'mount'],
    ['hdiutil convert a.dmg', 'convert'],
    ['vdisk convert a b', 'convert'],
    ['vdisk', undefined],
  ] as const)
    assert.equal(suggestion(line.split(' '), names), command, line)
})
