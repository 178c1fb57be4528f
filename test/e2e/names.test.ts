import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import test, { type TestContext } from 'node:test'
import { awkwardNames, runWords, vdiskWords, word, type Word } from '../support/byte-cli.js'
import { diskLike, sha256 } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { have } from '../support/tools.js'

const disk = diskLike(1048576, 3)
const other = diskLike(1048576, 4)

/** Names of bytes are a thing of POSIX, and the shell that hands them over is too. */
const here = { skip: process.platform === 'win32' ? 'names are text here' : false }

/** One of each kind; all of them go through the library in test/unit/location/awkward-names.test.ts. */
function few(folder: string): Buffer[] {
  return awkwardNames(folder).filter((name) => /^(tab|caf)/.test(name.toString('latin1')))
}

function ran(result: ReturnType<typeof vdiskWords>, what: string): string {
  assert.equal(result.code, 0, `${what}: ${result.stderr}`)
  return result.stdout.toString()
}

/** Beside every name the one that a lossy decoder makes of it, whose file must never be touched. */
function decoys(folder: string, names: readonly Buffer[], ...ends: string[]): () => void {
  const made = names
    .map((name) => name.toString('utf8'))
    .filter((text, index) => !names.some((name) => name.equals(Buffer.from(text))) && names[index] !== undefined)
    .flatMap((text) => ends.map((end) => `${folder}/${text}${end}`))
  for (const path of made) fs.writeFileSync(path, 'decoy')
  return () => {
    for (const path of made) assert.equal(fs.readFileSync(path, 'utf8'), 'decoy', path)
  }
}

test('a link to a first part brings the parts beside the file', here, (t) => {
  const folder = testFolder(t)
  fs.mkdirSync(`${folder}/pool`)
  fs.writeFileSync(`${folder}/pool/d.001`, disk.subarray(0, 400000))
  fs.writeFileSync(`${folder}/pool/d.002`, disk.subarray(400000))
  fs.symlinkSync('pool/d.001', `${folder}/link.img`)
  ran(vdiskWords(folder, 'convert', 'link.img', 'out.raw'), 'link')
  assert.equal(sha256(fs.readFileSync(`${folder}/out.raw`)), sha256(disk))
})

test('targets, parents and data files have the names that were given, byte for byte', here, (t) => {
  if (!have(t, 'qemu-img')) return
  const folder = testFolder(t)
  fs.writeFileSync(`${folder}/a.raw`, disk)
  fs.writeFileSync(`${folder}/b.raw`, other)
  const names = few(folder)
  const untouched = decoys(folder, names, '.qcow2', '.data', '.child.qcow2')
  fs.mkdirSync(`${folder}/away`)
  for (const name of names) {
    const shown = name.toString('latin1')
    const [base, child] = [word('./', name, '.qcow2'), word('./', name, '.child.qcow2')]
    const isPlain = !/[:\\]/.test(shown)
    // With a colon or a backslash the format cannot name a data file, and says so.
    const data: Word[] = isPlain ? ['-o', word('data-file=', name, '.data')] : []
    ran(vdiskWords(folder, 'convert', 'a.raw', base, '--verify', ...data), shown)
    ran(vdiskWords(folder, 'convert', 'b.raw', child, '--parent', base, '--verify'), shown)
    assert.ok(fs.existsSync(word(folder, '/', base)) && fs.existsSync(word(folder, '/', child)), shown)
    if (isPlain) assert.ok(fs.existsSync(word(folder, '/', name, '.data')), shown)
    same(t, folder, base, 'a.raw')
    same(t, folder, child, 'b.raw')
    assert.match(ran(vdiskWords(folder, 'hash', child), shown), new RegExp(sha256(other)), shown)
    // Where the base is elsewhere now, --search and --parent-map find it.
    for (const file of isPlain ? [word(name, '.qcow2'), word(name, '.data')] : [word(name, '.qcow2')])
      fs.renameSync(word(folder, '/', file), word(folder, '/away/', file))
    assert.notEqual(vdiskWords(folder, 'hash', child).code, 0, shown)
    for (const flags of [
      ['--search', 'away'],
      ['--parent-map', word(name, '.qcow2=away')],
      ['--allow-reference', word('away/', name, '.qcow2')],
    ]) {
      if (flags[0] === '--parent-map' && shown.includes('=')) continue
      assert.match(ran(vdiskWords(folder, 'hash', child, ...flags), shown), new RegExp(sha256(other)), shown)
    }
  }
  untouched()
})

/** qemu-img reads the same disk: its own answer to what the names in the file mean. */
function same(t: TestContext, folder: string, image: Word, raw: string): void {
  const { code, stderr, stdout } = runWords(
    folder,
    ['qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw'],
    [word('file:', image), raw],
  )
  assert.equal(code, 0, `${stdout.toString()}${stderr}`)
  t.diagnostic(stdout.toString().trim())
}

test('hash, resize, check and commit act on the file that was named, and on no other', here, (t) => {
  const folder = testFolder(t)
  const [first, second] = [Buffer.from('caf\xe9', 'latin1'), Buffer.from('caf\xe8', 'latin1')]
  if (awkwardNames(folder).length < 20) {
    t.skip('this filesystem keeps names as text')
    return
  }
  const untouched = decoys(folder, [first], '.raw', '.vhdx')
  fs.writeFileSync(word(folder, '/', first, '.raw'), disk)
  fs.writeFileSync(word(folder, '/', second, '.raw'), other)
  assert.match(ran(vdiskWords(folder, 'hash', word(first, '.raw')), 'hash'), new RegExp(sha256(disk)))
  assert.match(ran(vdiskWords(folder, 'hash', word(second, '.raw')), 'hash'), new RegExp(sha256(other)))
  ran(vdiskWords(folder, 'resize', word(first, '.raw'), '2M'), 'resize')
  assert.equal(fs.statSync(word(folder, '/', first, '.raw')).size, 2097152)
  assert.equal(fs.statSync(word(folder, '/', second, '.raw')).size, 1048576)
  const document = JSON.parse(ran(vdiskWords(folder, 'info', word(first, '.raw'), '--json'), 'info')) as {
    images: { path: string }[]
  }
  // As Python's os.fsdecode gives it: nothing is lost.
  assert.equal(document.images[0]?.path, 'caf\udce9.raw')
  assert.match(ran(vdiskWords(folder, 'info', word(first, '.raw')), 'info'), /caf\\xe9\.raw/)
  ran(vdiskWords(folder, 'convert', word(second, '.raw'), word(second, '.vhdx')), 'convert')
  ran(vdiskWords(folder, 'check', word(second, '.vhdx')), 'check')
  untouched()
  // UTF-16 has no room for such a name: it is said, and nothing is made.
  const child = vdiskWords(folder, 'create', 'child.vhdx', '--parent', word(second, '.vhdx'))
  assert.equal(child.code, 2, child.stderr)
  assert.match(child.stderr, /not UTF-8.*UTF-16/s)
  assert.ok(!fs.existsSync(`${folder}/child.vhdx`))
})

test('a working folder and a folder to search may have any name', here, (t) => {
  const folder = testFolder(t)
  for (const name of few(folder)) {
    const shown = name.toString('latin1')
    const place = word(folder, '/', name)
    fs.mkdirSync(place)
    fs.writeFileSync(word(place, '/a.raw'), disk)
    ran(vdiskWords(place, 'convert', 'a.raw', 'b.qcow2'), shown)
    ran(vdiskWords(place, 'create', '../child.qcow2', '--parent', 'b.qcow2', '--force'), shown)
    assert.match(ran(vdiskWords(folder, 'hash', 'child.qcow2'), shown), new RegExp(sha256(disk)), shown)
    ran(vdiskWords(place, 'compact', 'b.qcow2', '--output', 'c.qcow2'), shown)
    assert.deepEqual(fs.readdirSync(place).sort(), ['a.raw', 'b.qcow2', 'c.qcow2'], shown)
  }
})

test('an argument whose bytes cannot be had is refused before anything is opened', here, (t) => {
  const folder = testFolder(t)
  const socket = word('nbd+unix:///?socket=/tmp/', Buffer.of(0xe9))
  for (const [words, text] of [
    [['hash', socket], /not UTF-8/],
    [['hash', 'nbd+unix:///?socket=/tmp/caf%e9'], /cannot be taken apart/],
    [['serve', 'a.raw', '--socket', word('caf', Buffer.of(0xe9))], /not UTF-8/],
    [['hash', `nbd+unix:///?socket=/tmp/${'x'.repeat(120)}`], /107 bytes/],
  ] as [Word[], RegExp][]) {
    fs.writeFileSync(`${folder}/a.raw`, disk)
    const { code, stderr } = vdiskWords(folder, ...words)
    assert.equal(code, 2, stderr)
    assert.match(stderr, text)
  }
  assert.deepEqual(fs.readdirSync(folder), ['a.raw'])
})

test('a folder is named for what it is', here, (t) => {
  const folder = testFolder(t)
  const made = (name: string, ...files: string[]): string => {
    fs.mkdirSync(`${folder}/${name}`)
    for (const file of files)
      if (file.endsWith('/')) fs.mkdirSync(`${folder}/${name}/${file}`)
      else fs.writeFileSync(`${folder}/${name}/${file}`, disk)
    return name
  }
  for (const [name, text] of [
    [made('p.pvm', 'config.pvs', 'p.hdd/'), /Parallels.*p\.pvm\/p\.hdd/s],
    [made('vm', 'vm.vmx', 'vm.vmdk'), /VMware/],
    [made('vm2', 'vm2.vbox', 'vm2.vhd'), /VirtualBox.*vm2\/vm2\.vhd/s],
  ] as const)
    for (const command of ['info', 'hash', 'check', 'inspect']) {
      const { code, stderr } = vdiskWords(folder, command, name)
      assert.equal(code, 5, `${command} ${name}: ${stderr}`)
      assert.match(stderr, text)
    }
  const plain = vdiskWords(folder, 'info', made('plain', 'x.qcow2'))
  assert.equal(plain.code, 2)
  assert.match(plain.stderr, /is a directory.*plain\/x\.qcow2/s)
})

/** images → pool/images, with a folder of the same name on both sides of the link. */
function linked(t: TestContext): string {
  const top = testFolder(t)
  for (const name of ['pool/images', 'pool/out', 'out']) fs.mkdirSync(`${top}/${name}`, { recursive: true })
  fs.symlinkSync('pool/images', `${top}/images`)
  fs.writeFileSync(`${top}/a.raw`, disk)
  fs.writeFileSync(`${top}/b.raw`, other)
  return top
}

test('every command makes its target in the folder that the system means', here, (t) => {
  const top = linked(t)
  const vdisk = (...words: string[]): string => ran(vdiskWords(top, ...words), words.join(' '))
  vdisk('convert', 'a.raw', 'base.qcow2')
  vdisk('create', 'child.qcow2', '--parent', 'base.qcow2')
  vdisk('snapshot', 'create', 'base.qcow2', 'one')
  const sfdisk = spawnSync('sfdisk', ['-q', 'table.raw'], { cwd: top, input: '' }).error === undefined
  const targets: string[][] = [
    ['convert', 'a.raw', '@.raw'],
    ['create', '@.vhdx', '1M'],
    ['repair', 'base.qcow2', '--output', '@.qcow2'],
    ['chain', 'flatten', 'child.qcow2', '@.qcow2'],
    ['inspect', 'a.raw', '--html', '@.html'],
    ['compact', 'base.qcow2', '--output', '@.qcow2'],
    ['snapshot', 'extract', 'base.qcow2', 'one', '@.raw'],
    ['convert', 'a.raw', '@.qcow2', '-o', 'data-file=data.bin'],
  ]
  if (sfdisk) {
    fs.writeFileSync(`${top}/table.raw`, Buffer.alloc(8 * 1048576))
    const made = spawnSync('sfdisk', ['-q', 'table.raw'], { cwd: top, input: 'label: gpt\n1MiB,4MiB\n' })
    assert.equal(made.status, 0, made.stderr.toString())
    targets.push(
      ['partition', 'extract', 'table.raw@1', '@.raw'],
      ['partition', 'fix', 'table.raw', '--new-ids', '--output', '@.raw'],
      ['partition', 'inject', 'table.raw@1', 'a.raw', '--output', '@.raw'],
      ['partition', 'convert', 'table.raw', '@.raw', '--table', 'mbr'],
    )
  }
  const reference = (command: string[]): string[] => command.map((each) => each.replace(/^@/, 'images/../out/t'))
  for (const [index, command] of targets.entries()) {
    const [name = ''] = command.filter((each) => each.startsWith('@'))
    const result = vdiskWords(top, ...reference(command))
    assert.equal(result.code, 0, `${command.join(' ')}: ${result.stderr}`)
    assert.ok(fs.existsSync(`${top}/pool/out/t${name.slice(1)}`), command.join(' '))
    assert.deepEqual(fs.readdirSync(`${top}/out`), [], `${command.join(' ')} (${index}) wrote into the other folder`)
    for (const file of fs.readdirSync(`${top}/pool/out`)) fs.unlinkSync(`${top}/pool/out/${file}`)
  }
  assert.deepEqual(fs.readdirSync(`${top}/pool`).sort(), ['images', 'out'])
})

test('the target is never the source by another way to it', here, (t) => {
  const top = linked(t)
  fs.writeFileSync(`${top}/pool/x.raw`, disk)
  fs.writeFileSync(`${top}/x.raw`, other)
  const { code, stderr } = vdiskWords(top, 'convert', 'pool/x.raw', 'images/../x.raw', '--force')
  assert.equal(code, 3, stderr)
  // And what only has the same text is another file.
  ran(vdiskWords(top, 'convert', 'x.raw', 'images/../x.raw', '--force'), 'other')
  assert.equal(sha256(fs.readFileSync(`${top}/pool/x.raw`)), sha256(other))
})

test('a child that is a link records a name that is right from both folders', here, (t) => {
  const top = linked(t)
  const vdisk = (...words: string[]): string => ran(vdiskWords(top, ...words), words.join(' '))
  // The same text beside the link would be another file.
  vdisk('convert', 'a.raw', 'pool/os.qcow2')
  vdisk('convert', 'b.raw', 'os.qcow2')
  vdisk('create', 'pool/images/c.qcow2', '--parent', 'pool/os.qcow2')
  fs.mkdirSync(`${top}/links`)
  fs.symlinkSync('../pool/images/c.qcow2', `${top}/links/c.qcow2`)
  vdisk('chain', 'relink', 'links/c.qcow2', 'pool/os.qcow2', '--allow-reference', 'pool')
  for (const child of ['links/c.qcow2', 'images/c.qcow2', 'pool/images/c.qcow2'])
    assert.match(vdisk('hash', child, '--allow-reference', '.'), new RegExp(sha256(disk)), child)
})

test('chain commit writes into the parent, and into nothing that has its name by text', here, (t) => {
  const top = linked(t)
  const vdisk = (...words: string[]): string => ran(vdiskWords(top, ...words), words.join(' '))
  fs.copyFileSync(`${top}/a.raw`, `${top}/out/os.raw`)
  fs.copyFileSync(`${top}/a.raw`, `${top}/pool/out/os.raw`)
  vdisk('convert', 'b.raw', 'images/c.qcow2', '--parent', 'images/../out/os.raw')
  vdisk('chain', 'commit', 'images/c.qcow2', '--allow-reference', 'pool')
  assert.equal(sha256(fs.readFileSync(`${top}/out/os.raw`)), sha256(disk))
  assert.equal(sha256(fs.readFileSync(`${top}/pool/out/os.raw`)), sha256(other))
})
