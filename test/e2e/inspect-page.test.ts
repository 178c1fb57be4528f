import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { root, vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { assertSchema } from '../support/schemas.js'

const disk = join(root, 'fixtures/partitioned-disk.vhdx')
const mebibyte = 1048576

/**
 * That nothing in a page makes a browser fetch or run something: its tags and attributes are of a few kinds, its values
 * harmless.
 */
function assertAlone(page: string): void {
  const [head = '', main = ''] = page.split('<main>')
  assert.doesNotMatch(head.replace(/(<(?:title|h1|p)\b[^>]*>)[^<]*/g, '$1'), /https?:|\bsrc\s*=|url\(|@import/i)
  const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
  assert.ok(head.includes(`<meta http-equiv="Content-Security-Policy" content="${policy}">`))
  const tags = [...main.matchAll(/<\/?([a-z0-9]+)((?: [a-zA-Z-]+="[^"<>]*")*)\/?>/g)]
  // Every angle bracket belongs to one of these tags.
  assert.equal(tags.length, main.split('<').length - 1)
  assert.equal(tags.length, main.split('>').length - 1)
  for (const [, tag = '', attributes = ''] of tags) {
    assert.match(
      tag,
      /^(main|section|article|div|span|p|b|i|br|h2|h3|dl|dt|dd|ul|li|svg|path|code|table|tr|th|td|footer|body|html)$/,
    )
    for (const [, name = '', value = ''] of attributes.matchAll(/ ([a-zA-Z-]+)="([^"]*)"/g)) {
      assert.match(name, /^(class|style|title|viewBox|preserveAspectRatio|role|aria-label|d)$/)
      if (name === 'style')
        assert.match(value, /^(flex-grow:[\d.]+|width:[\d.]+%|(background:var\(--\w+\);?|margin-left:0)+)$/)
    }
  }
}

test('inspect --html writes one page that stands alone', async (t) => {
  const cwd = testFolder(t)
  const result = await vdisk(['inspect', disk, '--html', 'page.html'], { cwd })
  assert.deepEqual([result.code, result.stderr], [0, ''])
  assert.match(result.stdout.toString(), /The page is page\.html\n/)
  const page = fs.readFileSync(join(cwd, 'page.html'), 'utf8')
  assertAlone(page)
  for (const shown of [
    '<h1>partitioned-disk.vhdx</h1>',
    'prefers-color-scheme: dark',
    '<h3>Partition 1: ESP</h3>',
    '<h3>Partition 2: root</h3>',
    'may start from BIOS and UEFI',
    'class="used level',
    'class="stored level',
  ])
    assert.ok(page.includes(shown), shown)
  // To scale: 12 and 26 MiB of 40.
  const widths = [...page.matchAll(/<div class="tone\d "[^>]*flex-grow:([\d.]+)/g)].map(([, width]) =>
    Math.round(Number(width)),
  )
  assert.deepEqual(widths, [Math.round((12 / 40) * 10000), Math.round((26 / 40) * 10000)])
  assert.deepEqual(fs.readdirSync(cwd), ['page.html'])
  const part = await vdisk(['inspect', `${disk}@2`, '--html', 'part.html', '--json'], { cwd })
  assert.equal(part.code, 0, part.stderr)
  assertSchema('inspect', JSON.parse(part.stdout.toString()))
  assertAlone(fs.readFileSync(join(cwd, 'part.html'), 'utf8'))
})

test('the page never replaces a file by itself, and never the image', async (t) => {
  const cwd = testFolder(t)
  fs.copyFileSync(disk, join(cwd, 'disk.vhdx'))
  fs.writeFileSync(join(cwd, 'old.html'), 'old')
  fs.linkSync(join(cwd, 'disk.vhdx'), join(cwd, 'other-name'))
  assert.equal((await vdisk(['inspect', 'disk.vhdx', '--html', 'old.html'], { cwd })).code, 7)
  assert.equal(fs.readFileSync(join(cwd, 'old.html'), 'utf8'), 'old')
  for (const target of ['disk.vhdx', 'other-name'])
    assert.equal((await vdisk(['inspect', 'disk.vhdx@1', '--html', target, '--force'], { cwd })).code, 3)
  assert.deepEqual(fs.readFileSync(join(cwd, 'disk.vhdx')), fs.readFileSync(disk))
  assert.equal((await vdisk(['inspect', 'disk.vhdx', '--html', '-'], { cwd })).code, 2)
  assert.equal((await vdisk(['inspect', 'disk.vhdx', '--html', 'old.html', '--force'], { cwd })).code, 0)
  assert.match(fs.readFileSync(join(cwd, 'old.html'), 'utf8'), /^<!DOCTYPE html>/)
  assert.deepEqual(fs.readdirSync(cwd).sort(), ['disk.vhdx', 'old.html', 'other-name'])
})

test('labels that are HTML are text', async (t) => {
  const cwd = testFolder(t)
  const raw = join(cwd, '<img src=x onerror=alert(1)>.raw')
  assert.equal((await vdisk(['convert', disk, raw], { cwd })).code, 0)
  const descriptor = fs.openSync(raw, 'r+')
  // The label of the ext4 filesystem, 16 bytes at 120 of its superblock, whose checksum is then wrong; and of the FAT's
  // root folder.
  fs.writeSync(descriptor, Buffer.from('"><script src=h>'), 0, 16, 13 * mebibyte + 1024 + 120)
  const esp = Buffer.alloc(12 * mebibyte)
  fs.readSync(descriptor, esp, 0, esp.length, mebibyte)
  fs.writeSync(descriptor, Buffer.from("<B>&'\u0007</B> "), 0, 11, mebibyte + esp.indexOf('ESP        ', 512))
  fs.closeSync(descriptor)
  const result = await vdisk(['inspect', raw, '--html', 'page.html'], { cwd })
  assert.equal(result.code, 0, result.stderr)
  const page = fs.readFileSync(join(cwd, 'page.html'), 'utf8')
  assertAlone(page)
  assert.ok(page.includes('&quot;&gt;&lt;script src=h&gt;'))
  assert.ok(page.includes('&lt;B&gt;&amp;&#39;'))
  assert.doesNotMatch(page, /<B>|<img|\u0007/)
})

test('2 TiB are inspected and drawn within 150 MiB', async (t) => {
  const cwd = testFolder(t)
  assert.equal((await vdisk(['create', 'big.vhdx', '2T'], { cwd })).code, 0)
  const report = join(cwd, 'usage')
  const watch = join(cwd, 'watch.cjs')
  fs.writeFileSync(
    watch,
    `process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(report)}, ` +
      'JSON.stringify(process.resourceUsage())))',
  )
  const peak = async (...args: string[]): Promise<number> => {
    const result = await vdisk(['inspect', 'big.vhdx', ...args], { cwd, env: { NODE_OPTIONS: `--require=${watch}` } })
    assert.equal(result.code, 0, result.stderr)
    return (JSON.parse(fs.readFileSync(report, 'utf8')) as NodeJS.ResourceUsage).maxRSS
  }
  for (const kibibytes of [await peak('--json'), await peak('--html', 'big.html')])
    assert.ok(kibibytes < 150 * 1024, `${kibibytes} KiB`)
  assert.ok(fs.statSync(join(cwd, 'big.html')).size < 100_000)
})
