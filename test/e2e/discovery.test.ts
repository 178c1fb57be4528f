import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { root, vdisk } from '../support/cli.js'
import { assertSchema } from '../support/schemas.js'
import { scratch } from '../support/tools.js'

test('a command that is not there: what was meant, exit 2, JSON when it was asked for', async (t) => {
  const cwd = scratch(t)('.')
  for (const [words, meant] of [
    [['convrt', 'a', 'b'], 'vdisk convert'],
    [['flash', 'a.img', '/dev/sdx'], 'vdisk restore'],
    [['write', 'a.img', '/dev/sdx'], 'vdisk restore'],
    [['burn', 'a.img'], 'vdisk restore'],
    [['backup', '/dev/sdx'], 'vdisk image'],
    [['list'], 'vdisk partition list'],
    // `backup` is a topic too: what is near one of its commands is that.
    [['backup', 'lst'], 'vdisk backup list'],
    [['backup', 'server.vhdx', 'x'], 'vdisk image'],
    [['plugins', 'instal', 'x'], 'vdisk plugins install'],
    [['which', 'convrt'], 'vdisk convert'],
    [['help', 'convrt'], 'vdisk convert'],
    [['flatten', 'a'], 'vdisk chain flatten'],
    [['chain', 'flaten', 'a'], 'vdisk chain flatten'],
    [['snapshot', 'creat'], 'vdisk snapshot create'],
    [['umount', '/mnt'], 'vdisk unmount'],
    [['Convert-VHD', '-Path', 'a.vhd', '-DestinationPath', 'b.vhdx'], 'vdisk convert'],
    [['virt-cat', '-a', 'a.img', '/etc/fstab'], 'vdisk cat'],
    [['dd', 'if=a.img', 'of=/dev/sdb', 'bs=4M'], 'vdisk restore'],
    [['ddrescue', '/dev/sdb', 'a.img'], 'vdisk image'],
    // Nothing of the topic is near: its name alone makes no command likely.
    [['backup', 'xx'], 'vdisk image'],
  ] as const) {
    const said = await vdisk(words, { cwd })
    assert.equal(said.code, 2)
    assert.match(said.stderr, new RegExp(`Did you mean "${meant}"\\?`), words.join(' '))
  }
  // What vdisk does not do is said, and no other command is guessed.
  const format = await vdisk(['format', 'a.img'], { cwd })
  assert.match(format.stderr, /no command "format"[^]*erases no disk and makes no filesystem/)
  assert.doesNotMatch(format.stderr, /Did you mean/)
  const none = await vdisk(['xyzzy\u001b[31m'], { cwd })
  assert.equal(none.code, 2)
  assert.doesNotMatch(none.stderr, /Did you mean|\u001b/)
  const json = await vdisk(['convrt', 'a', 'b', '--json'], { cwd })
  assert.equal(json.code, 2)
  const document: unknown = JSON.parse(json.stdout.toString())
  assertSchema('error', document)
  assert.equal((document as { details: { suggestion: string } }).details.suggestion, 'convert')
})

test('a flag that is not there: the nearest that is, and JSON when it was asked for', async (t) => {
  const cwd = scratch(t)('.')
  const said = await vdisk(['convert', 'a', 'b', '--verfy'], { cwd })
  assert.equal(said.code, 2)
  assert.match(said.stderr, /^Error: vdisk convert has no flag --verfy\n.*\nWhat to do: Did you mean --verify\?/)
  const json = await vdisk(['convert', 'a', 'b', '--xyzzyx', '--json'], { cwd })
  const document = JSON.parse(json.stdout.toString()) as { readonly hint: string }
  assertSchema('error', document)
  assert.doesNotMatch(document.hint, /Did you mean/)
})

test('the topic of a word is not counted where nothing in it is near', async (t) => {
  const { code, stderr } = await vdisk(['snapshot', 'xx'], { cwd: scratch(t)('.') })
  assert.equal(code, 2)
  assert.doesNotMatch(stderr, /Did you mean/)
  assert.match(stderr, /"vdisk snapshot --help" lists/)
})

test('help with --json: which command was meant, and what lists commands as JSON', async (t) => {
  const cwd = scratch(t)('.')
  for (const [words, hint] of [
    [['help', '--json'], /"vdisk commands --json"/],
    [['help', 'convert', '--json'], /"vdisk commands --json"/],
    [['help', 'backup', '--json'], /"vdisk commands --json"/],
    [['help', 'convrt', '--json'], /Did you mean "vdisk convert"/],
  ] as const) {
    const { code, stdout } = await vdisk(words, { cwd })
    assert.equal(code, 2)
    const document = JSON.parse(stdout.toString()) as { readonly hint: string }
    assertSchema('error', document)
    assert.match(document.hint, hint)
  }
  for (const flag of ['--version', '-v'])
    assertSchema('version', JSON.parse((await vdisk([flag, '--json'], { cwd })).stdout.toString()))
})

test('a command line that oclif refuses is explained in our words', async (t) => {
  const at = scratch(t)
  const cwd = at('.')
  for (const name of ['-x.raw', '-f.raw', 'a.raw']) fs.writeFileSync(at(name), Buffer.alloc(1 << 20, 7))
  for (const [words, message, hint] of [
    [['convert', 'a', 'b', 'c'], 'vdisk convert takes no further argument "c"', /SOURCE TARGET[^]*needs quotes/],
    [['create', 'a.qcow2', '1', 'G'], 'vdisk create takes no further argument "G"', /a size is one word/],
    [['info', '-x.raw'], 'vdisk info has no flag -x.raw, but there is a file of that name', /: \.\/-x\.raw$/m],
    [['convert', '-f.raw', 'b.vhd'], 'vdisk convert has no flag -f.raw, but there is a file of', /: \.\/-f\.raw$/m],
    [['info', 'a.raw', '--from'], '--from needs a value: --from FORMAT', /vdisk info --help/],
    [['info', 'a.raw', '--quiet', '--verbose'], '--verbose and --quiet exclude each other', /vdisk info --help/],
    [['hash', 'a.raw', '--algorithm', 'md5'], '--algorithm cannot be "md5"; its values are sha256', /hash --help/],
    [['info', 'a.raw', '--from', 'raw', '--from', 'raw'], '--from is given twice', /vdisk info --help/],
    // oclif takes what follows = for the next argument: it would be the target's name.
    [['convert', 'a.raw', '--verify=true'], '--verify takes no value, and "true" is one', /--verify alone/],
    [['convert', 'a.raw', '-f=1'], '-f takes no value', /-f alone/],
    [['info', '--json=yes', 'a.raw'], '--json takes no value', /--json alone/],
    [['convert', 'a.raw', 'b.raw', '--no-flush=no'], '--no-flush takes no value', /--no-flush alone/],
  ] as const) {
    const said = await vdisk(words, { cwd })
    assert.equal(said.code, 2, words.join(' '))
    assert.ok(said.stderr.startsWith(`Error: ${message}`), said.stderr)
    assert.match(said.stderr, hint)
  }
  assert.deepEqual(fs.readdirSync(cwd).sort(), ['-f.raw', '-x.raw', 'a.raw'])
  for (const words of [
    ['hash', './-x.raw'],
    ['hash', '--', '-x.raw'],
  ])
    assert.equal((await vdisk(words, { cwd })).code, 0)
})

test('every topic says what it is about', async (t) => {
  const cwd = scratch(t)('.')
  const { commands } = JSON.parse(fs.readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as {
    readonly commands: Readonly<Record<string, { readonly summary: string }>>
  }
  const ids = Object.keys(commands)
  for (const topic of new Set(ids.filter((id) => id.includes(':')).map((id) => id.split(':')[0] ?? ''))) {
    const [first = ''] = (await vdisk([topic, '--help'], { cwd })).stdout.toString().split('\n')
    const ofOne = ids.filter((id) => id.startsWith(`${topic}:`)).map((id) => commands[id]?.summary)
    assert.ok(first !== '' && !ofOne.includes(first), `${topic}: ${first}`)
  }
})

test('-h, --help, -v, --version, version, which', async (t) => {
  const cwd = scratch(t)('.')
  for (const words of [['-v'], ['--version'], ['version']]) {
    const { stdout, code } = await vdisk(words, { cwd })
    assert.equal(code, 0)
    assert.match(stdout.toString(), /^vdisk\/\d/)
  }
  for (const words of [['--help'], ['help'], ['convert', '--help']]) {
    const { stdout, code } = await vdisk(words, { cwd })
    assert.equal(code, 0)
    assert.match(stdout.toString(), /USAGE/)
  }
})

test('the help of oclif has colours where CLICOLOR_FORCE asks for them, and none where NO_COLOR does', async (t) => {
  const help = async (variables: Readonly<Record<string, string>>) => {
    const env = { TERM: 'xterm-256color', ...variables }
    const { stdout, stderr } = await vdisk(['--help'], { cwd: scratch(t)('.'), env })
    assert.equal(stderr, '')
    return stdout.toString()
  }
  assert.match(await help({ CLICOLOR_FORCE: '1' }), /\u001b\[\d/)
  assert.doesNotMatch(await help({ CLICOLOR_FORCE: '1', NO_COLOR: '1' }), /\u001b/)
  assert.doesNotMatch(await help({}), /\u001b/)
})

test('commands, which, version: text and JSON', async (t) => {
  const cwd = scratch(t)('.')
  const out = async (...words: string[]) => {
    const { code, stdout, stderr } = await vdisk(words, { cwd })
    assert.equal(code, 0, stderr)
    return stdout.toString()
  }
  assert.match(await out('commands'), /^ {2}vdisk … .*\bconvert\b.*\n {2}backup {5}check find/)
  assert.match(await out('commands', 'snapshot'), /^snapshot create +Keep the disk/m)
  assert.match(await out('commands', '--verbose'), /^help +Display help for vdisk\. +@oclif\/plugin-help$/m)
  const { commands } = JSON.parse(await out('commands', '--json')) as { readonly commands: readonly { name: string }[] }
  assertSchema('commands', JSON.parse(await out('commands', '--json')))
  const { commands: built } = JSON.parse(fs.readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as {
    readonly commands: object
  }
  const names = [...Object.keys(built).map((id) => id.replace(':', ' ')), 'help']
  assert.deepEqual(commands.map(({ name }) => name).sort(), names.sort())
  const none = await vdisk(['commands', 'xyzzy'], { cwd })
  assert.equal(none.code, 2)
  assert.match(none.stderr, /"vdisk commands" lists all/)

  assert.match(await out('which', 'convert'), /^convert: Convert .*\n {2}from +vdisk \d/)
  for (const words of [['backup', 'run'], ['backup:run'], ['backup run']]) {
    const document: unknown = JSON.parse(await out('which', ...words, '--json'))
    assertSchema('which', document)
    assert.equal((document as { command: string }).command, 'backup run')
  }
  for (const words of [['which'], ['which', 'convrt'], ['which', 'backup']]) {
    const { code, stdout } = await vdisk([...words, '--json'], { cwd })
    assert.equal(code, 2)
    assertSchema('error', JSON.parse(stdout.toString()))
  }

  const version: unknown = JSON.parse(await out('version', '--json'))
  assertSchema('version', version)
  assert.equal(`${(version as { line: string }).line}\n`, await out('--version'))
  assert.match(await out('version', '--verbose'), /^ {2}plug-ins +none$/m)
})

test('a word that a command does not take, and a flag before any command', async (t) => {
  const cwd = scratch(t)('.')
  for (const [words, message, hint] of [
    [['version', 'x'], 'vdisk version takes no argument "x"', /vdisk version --help/],
    [['disks', 'sda'], 'vdisk disks takes no argument "sda"', /vdisk disks --help/],
    [['plugins', 'xyzzy'], 'vdisk plugins takes no argument "xyzzy"', /vdisk plugins --help/],
    [['--verson'], 'vdisk has no flag --verson without a command', /Did you mean "vdisk --version"\?/],
    [['--xyzzy', 'convert'], 'vdisk has no flag --xyzzy without a command', /COMMAND \[FLAGS\]/],
  ] as const) {
    const said = await vdisk(words, { cwd })
    assert.equal(said.code, 2)
    assert.ok(said.stderr.startsWith(`Error: ${message}\n`), said.stderr)
    assert.match(said.stderr, hint)
  }
})

test('a missing argument: which, the usage, one example', async (t) => {
  const cwd = scratch(t)('.')
  const said = await vdisk(['convert', 'a.raw'], { cwd })
  assert.equal(said.code, 2)
  assert.match(
    said.stderr,
    /needs TARGET\n.*\nWhat to do:\nUsage: vdisk convert SOURCE TARGET \[FLAGS\]\nExample: vdisk convert /,
  )
  assert.doesNotMatch((await vdisk(['info'], { cwd })).stderr, /allow multiple values/)
})

test('command lines of qemu-img are understood, or explained', async (t) => {
  const at = scratch(t)
  fs.writeFileSync(at('a.raw'), Buffer.alloc(1 << 20, 7))
  const cwd = at('.')
  const made = await vdisk(['convert', '-f', 'raw', '-O', 'qcow2', '-c', 'a.raw', 'b.img', '--json'], { cwd })
  assert.equal(made.code, 0, made.stderr)
  assert.equal((JSON.parse(made.stdout.toString()) as { target: { format: string } }).target.format, 'qcow2')
  assert.equal(
    (await vdisk(['convert', 'a.raw', 'b.img', '--to', 'raw', '-f'], { cwd })).code,
    0,
    '-f alone is --force',
  )
  const threads = await vdisk(['convert', '-m', '16', 'a.raw', 'c.raw'], { cwd })
  assert.equal(threads.code, 2)
  assert.match(threads.stderr, /--threads/)
})

test('what is no disk is not read as one in silence', async (t) => {
  const at = scratch(t)
  const cwd = at('.')
  fs.writeFileSync(at('a.txt'), 'abc')
  fs.writeFileSync(at('notes'), 'A line of text.\n'.repeat(100))
  fs.writeFileSync(at('small.data'), Uint8Array.of(0, 1, 2))
  for (const name of ['a.txt', 'notes', 'small.data']) {
    const said = await vdisk(['convert', name, 'out.qcow2'], { cwd })
    assert.equal(said.code, 5, name)
    assert.match(said.stderr, /(?:not a disk image|at least one sector of 512)[^]*--from raw/)
    const insisted = await vdisk(['convert', name, `${name}.qcow2`, '--from', 'raw'], { cwd })
    assert.equal(insisted.code, 0)
    if (name !== 'small.data')
      assert.match(insisted.stderr, /looks like text: its bytes, read as raw, are hardly a disk/)
  }
  // In an archive, --from would be about the archive.
  fs.writeFileSync(at('packed.txt.gz'), gzipSync('A line of text.\n'.repeat(100)))
  const packed = await vdisk(['info', 'packed.txt.gz'], { cwd })
  assert.equal(packed.code, 5)
  assert.match(packed.stderr, /unpack it, and use --from raw then/)
  // A 7z archive: never advised to be read as raw, and a warning for those who insist.
  fs.writeFileSync(at('disk.7z'), Buffer.concat([Buffer.from('377abcaf271c0004', 'hex'), Buffer.alloc(4096, 1)]))
  const archive = await vdisk(['info', 'disk.7z'], { cwd })
  assert.equal(archive.code, 5)
  assert.doesNotMatch(archive.stderr, /--from raw/)
  const insisted = await vdisk(['convert', 'disk.7z', 'x.raw', '--from', 'raw'], { cwd })
  assert.equal(insisted.code, 0)
  assert.match(insisted.stdout.toString() + insisted.stderr, /looks like a 7z archive/i)
  assert.deepEqual(fs.existsSync(join(cwd, 'out.qcow2')), false)
})

test('no table, no filesystem, no size of a disk: refused, whatever the name, unless --from raw says so', async (t) => {
  const at = scratch(t)
  const cwd = at('.')
  const bytes = Buffer.alloc(3003, 0x9d)
  for (const name of ['tiny.raw', 'tiny.img', 'tiny.bin', 'tiny.001']) fs.writeFileSync(at(name), 'abc')
  fs.writeFileSync(at('a.Z'), bytes)
  fs.writeFileSync(at('firmware.bin'), bytes)
  fs.writeFileSync(at('installer.bin'), '#!/bin/sh\nexit 0\n'.padEnd(4096))
  fs.writeFileSync(at('film.001'), Buffer.concat([Buffer.from('\0\0\0\x18ftypisom'), Buffer.alloc(4084, 1)]))
  for (const [name, said] of [
    ['tiny.raw', /has 3 bytes: a disk has at least one sector of 512/],
    ['tiny.img', /has 3 bytes/],
    ['tiny.bin', /is text, not a disk image/],
    ['tiny.001', /is text, not a disk image/],
    ['a.Z', /has 3003 bytes, no whole number of sectors of 512, and nothing in it says that it is a disk/],
    ['firmware.bin', /no whole number of sectors/],
    ['installer.bin', /is text, not a disk image/],
    ['film.001', /is a video or sound file, not a disk image/],
  ] as const) {
    const refused = await vdisk(['convert', name, 'out.qcow2'], { cwd })
    assert.equal(refused.code, 5, name)
    assert.match(refused.stderr, said)
    assert.match(refused.stderr, /--from raw/)
    assert.equal(fs.existsSync(at('out.qcow2')), false)
  }
  // A disk that was cut off has its boot sector still; parts may end within a sector; a name promises a disk.
  const boot = Buffer.alloc(3003, 0x9d)
  boot.set([0x55, 0xaa], 510)
  fs.writeFileSync(at('cut'), boot)
  fs.writeFileSync(at('part.001'), bytes)
  fs.writeFileSync(at('odd.img'), bytes)
  for (const name of ['cut', 'part.001', 'odd.img']) assert.equal((await vdisk(['info', name], { cwd })).code, 0, name)
  fs.writeFileSync(at('words.img'), 'A line of text.\n'.repeat(64))
  const words = await vdisk(['info', 'words.img'], { cwd })
  assert.match(words.stdout.toString(), /named \.img, as a raw disk, but looks like text/)
})

test('boot code that is not known: a disk that may start, by every command', async (t) => {
  const at = scratch(t)
  const cwd = at('.')
  // An endless loop in the first sector, and an active partition.
  const disk = Buffer.alloc(4 << 20)
  disk.set([0xeb, 0xfe])
  disk.set([0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0], 446)
  disk.set([0x55, 0xaa], 510)
  fs.writeFileSync(at('loop.raw'), disk)
  for (const words of [
    ['inspect', 'loop.raw'],
    ['doctor', 'loop.raw', '--verbose'],
    ['doctor', 'loop.raw', '--for', 'hyperv-gen2'],
    ['convert', 'loop.raw', 'a.vhdx', '--for', 'hyperv-gen2'],
  ]) {
    const { stdout, stderr } = await vdisk(words, { cwd })
    const text = `${stdout.toString()}${stderr}`.replaceAll(/\s+/g, ' ')
    assert.match(text, /BIOS: may start|may start from BIOS/, words.join(' '))
    assert.doesNotMatch(text, /disk starts from|: starts from/, words.join(' '))
  }
})

test('a name of a file where a command belongs: the command that is meant', async (t) => {
  const at = scratch(t)
  const cwd = at('.')
  fs.writeFileSync(at('a.raw'), Buffer.alloc(1 << 20, 7))
  for (const [words, meant] of [
    [['a.raw'], 'vdisk info a.raw'],
    [['a.raw', 'b.qcow2'], 'vdisk convert a.raw b.qcow2'],
    [['./a.raw', '/dev/sdx'], 'vdisk restore ./a.raw /dev/sdx'],
    [['/dev/sdx'], 'vdisk inspect /dev/sdx'],
    [['nbd://host/disk'], 'vdisk info nbd://host/disk'],
    [['snapshot', 'a.raw'], 'vdisk snapshot list a.raw'],
    [['chain', 'a.raw'], 'vdisk chain show a.raw'],
    [['partition', 'a.raw'], 'vdisk partition list a.raw'],
    [['/?'], 'vdisk --help'],
  ] as const) {
    const said = await vdisk(words, { cwd })
    assert.equal(said.code, 2)
    assert.ok(said.stderr.includes(`Did you mean "${meant}"?`), said.stderr)
  }
})

test('a document, a program, a page that a server sent: no disk, unless a name or --from says so', async (t) => {
  const at = scratch(t)
  const cwd = at('.')
  const page = '<!DOCTYPE html><title>404</title>'.padEnd(2048)
  fs.writeFileSync(at('paper.pdf'), Buffer.concat([Buffer.from('%PDF-1.7\n'), Buffer.alloc(4096, 0x81)]))
  fs.writeFileSync(at('disk.qcow2'), page)
  fs.writeFileSync(at('disk.img'), page)
  fs.writeFileSync(at('lfs.vhdx'), 'version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n')
  fs.writeFileSync(at('cut.raw.bz2'), Buffer.alloc(4096, 0x81))
  for (const [name, code, said] of [
    ['paper.pdf', 5, /is a PDF document, not a disk image/],
    ['disk.qcow2', 4, /named \.qcow2, but it is a page of HTML or XML\n[^]*A server may have sent it/],
    ['lfs.vhdx', 4, /named \.vhdx, but it is a pointer of Git LFS\n[^]*git lfs pull/],
    ['cut.raw.bz2', 4, /named \.bz2, but nothing in it says that it is/],
  ] as const) {
    const { code: ended, stderr } = await vdisk(['convert', name, 'out.vhd'], { cwd })
    assert.equal(ended, code, stderr)
    assert.match(stderr, said)
    assert.equal(fs.existsSync(at('out.vhd')), false)
  }
  const named = await vdisk(['info', 'disk.img'], { cwd })
  assert.equal(named.code, 0)
  assert.match(named.stdout.toString(), /disk\.img is named \.img, as a raw disk, but looks like a page of HTML/)
  const insisted = await vdisk(['convert', 'paper.pdf', 'p.vhd', '--from', 'raw'], { cwd })
  assert.equal(insisted.code, 0)
  assert.match(insisted.stderr, /looks like a PDF document/)
})

test('a missing argument is never taken from standard input', async (t) => {
  const at = scratch(t)
  fs.writeFileSync(at('a.raw'), Buffer.alloc(1 << 20, 7))
  for (const [words, missing] of [
    [['convert', 'a.raw'], 'TARGET'],
    [['restore', 'a.raw'], 'DEVICE'],
    [['info'], 'IMAGE'],
  ] as const) {
    const { code, stderr } = await vdisk(words, { cwd: at('.'), input: Buffer.from('other.qcow2\n') })
    assert.equal(code, 2, stderr)
    assert.match(stderr, new RegExp(`needs ${missing}`))
  }
  assert.deepEqual(fs.readdirSync(at('.')), ['a.raw'])
})

test('a target that cannot be written: what it would be, and what to use instead', async (t) => {
  const at = scratch(t)
  fs.writeFileSync(at('a.raw'), Buffer.alloc(1 << 20, 7))
  for (const [name, hint] of [
    ['out.7z', /pack it with 7z/],
    ['out.e01', /reads Expert Witness.*cannot make one[^]*read raw images/],
    ['out.dmg', /macOS attaches raw images/],
    ['out.hdd', /Parallels imports \.vhd/],
    ['out.qed', /\.qcow2/],
    ['out.simg', /img2simg/],
    ['out.tar', /would be a tar archive[^]*--for gce/],
    ['out.vmx', /\.vmdk for it, or an \.ova/],
    ['out.lzma', /xz --format=lzma/],
    ['out.iso', /\.img or \.raw/],
    ['out.xyz', /--to/],
    ['/dev/nothing', /vdisk restore/],
  ] as const) {
    const said = await vdisk(['convert', 'a.raw', name], { cwd: at('.') })
    assert.equal(said.code, 2, name)
    assert.match(said.stderr, hint)
  }
})

test('an image that is named as a backup of another program is warned of: nothing would open it', async (t) => {
  const at = scratch(t)
  fs.writeFileSync(at('a.raw'), Buffer.alloc(1 << 20, 7))
  const said = await vdisk(['convert', 'a.raw', 'a.tib', '--to', 'raw'], { cwd: at('.') })
  assert.equal(said.code, 0)
  assert.match(said.stderr, /a\.tib promises an Acronis backup, and it is written as Raw disk image/)
})

test('a fixed VHD that Azure would refuse: a warning, and the recipe of the help avoids it', async (t) => {
  const at = scratch(t)
  fs.writeFileSync(at('odd.raw'), Buffer.alloc(7_000_000, 7))
  const cwd = at('.')
  const plain = await vdisk(['convert', 'odd.raw', 'a.vhd', '--subformat', 'fixed', '--json'], { cwd })
  assert.equal(plain.code, 0, plain.stderr)
  const codes = (text: Buffer): string[] =>
    (JSON.parse(text.toString()) as { notes: { code: string }[] }).notes.map(({ code }) => code)
  assert.ok(codes(plain.stdout).includes('W_NOT_WHOLE_MIB'))
  const azure = await vdisk(['convert', 'odd.raw', 'b.vhd', '-o', 'azure=true', '--json'], { cwd })
  assert.ok(!codes(azure.stdout).includes('W_NOT_WHOLE_MIB'))
  assert.equal(fs.statSync(at('b.vhd')).size, 7 * 1048576 + 512)
  const resized = await vdisk(['resize', 'b.vhd', '8000100', '--json'], { cwd })
  assert.deepEqual(codes(resized.stdout), ['W_ROUNDED_UP', 'W_NOT_WHOLE_MIB'])
  assert.deepEqual(codes((await vdisk(['resize', 'b.vhd', '8M', '--json'], { cwd })).stdout), [])
})

test('a stream where a file is wanted: the command that reads streams is named, and does it', async (t) => {
  const at = scratch(t)
  const bytes = Buffer.alloc(1 << 20, 7)
  fs.writeFileSync(at('a.raw'), bytes)
  const cwd = at('.')
  for (const source of ['-', '/dev/null']) {
    const said = await vdisk(['hash', source], { cwd, input: bytes })
    assert.equal(said.code, 2)
    assert.match(said.stderr, /vdisk convert - disk\.qcow2 < STREAM/)
  }
  assert.equal((await vdisk(['convert', '-', 'disk.qcow2', '--from', 'raw'], { cwd, input: bytes })).code, 0)
  assert.equal((await vdisk(['compare', 'a.raw', 'disk.qcow2'], { cwd })).code, 0)
})

test('a copy in the format of its image, under the name of another one: warned of', async (t) => {
  const at = scratch(t)
  const cwd = at('.')
  assert.equal((await vdisk(['create', 'a.qcow2', '1M'], { cwd })).code, 0)
  for (const command of ['compact', 'repair']) {
    const other = await vdisk([command, 'a.qcow2', '--output', `${command}.vhd`], { cwd })
    assert.equal(other.code, 0)
    assert.match(other.stderr, /promises a Microsoft VHD.*written as QEMU copy-on-write/)
    const own = await vdisk([command, 'a.qcow2', '--output', `${command}.qcow2`], { cwd })
    assert.equal(own.stderr, '')
  }
})
