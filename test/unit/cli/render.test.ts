import assert from 'node:assert/strict'
import test from 'node:test'
import { optionValues } from '../../../src/cli/flags.js'
import { view } from '../../../src/cli/view/info.js'
import { viewText } from '../../support/view.js'
import { labelOf, renderer, shortSize, sizeText, takesColours, valueText, widest } from '../../../src/cli/render.js'

test('sizes are exact and human; what is rounded is marked', () => {
  assert.equal(sizeText(64 * 2 ** 30), '64 GiB (68,719,476,736 bytes)')
  assert.equal(sizeText(512), '512 bytes')
  assert.equal(sizeText(0), '0 bytes')
  assert.equal(sizeText(1), '1 byte')
  assert.equal(shortSize(1536), '1.5 KiB')
  assert.equal(shortSize(1537), '≈ 1.5 KiB')
  assert.equal(shortSize(2 ** 53 - 1), '≈ 8 PiB')
})

test('values and labels', () => {
  assert.equal(labelOf('blockSize'), 'Block size')
  assert.equal(labelOf('data-file'), 'Data file')
  assert.equal(valueText(true), 'yes')
  assert.equal(valueText(18446744073709551615n), '18446744073709551615')
  assert.equal(valueText('a\u001b[31mb'), 'a\\u001b[31mb')
})

test('names from images are escaped, and lines fit a terminal', async () => {
  const render = await renderer({ isTTY: false })
  assert.equal(render.facts([['name', 'x\ny']]), '  name  x\\u000ay')
  assert.equal(await render.table(['a', 'b'], [['1', '\u0007']]), 'a  b\n1  \\u0007')
  assert.equal(render.heading('\u001b]0;title\u0007'), '\\u001b]0;title\\u0007')
  const narrow = await renderer({ isTTY: true, columns: 40 })
  const text = narrow.facts([['label', 'word '.repeat(30)]])
  for (const line of text.split('\n')) assert.ok(line.length <= 40, line)
  const table = await narrow.table(['a', 'b'], [['1', 'word '.repeat(30)]])
  for (const line of table.replace(/\u001b\[\d+m/g, '').split('\n')) assert.ok(line.length <= 40, line)
})

test('a table is wrapped between words as long as its words fit, and within them only then', async () => {
  const row = ['1', '2048', '26623', '12 MiB', 'Linux filesystem', 'EFI system', 'FAT16', '1 %', '']
  const heads = ['no.', 'first sector', 'last sector', 'size', 'type', 'label', 'filesystem', 'used', 'flags']
  const table = async (columns: number) => {
    const text = await (await renderer({ isTTY: true, columns })).table(heads, [row])
    const lines = text.replace(/\u001b\[\d+m/g, '').split('\n')
    for (const line of lines) assert.ok(line.length <= columns, line)
    return lines
  }
  assert.match((await table(80)).join('\n'), /\bfilesystem\b[^]*\bLinux\b[^]*\bfilesystem\b/)
  assert.equal((await table(120)).length, 2)
  assert.ok((await table(78)).length > 3)
})

test('info shows what a hostile image says only escaped', async () => {
  const text = await viewText(view, {
    headers: true,
    image: {
      path: 'evil\u001b[2J.img',
      title: 'T',
      format: 'f',
      subformat: 's',
      capacity: 512,
      size: 512,
      allocated: 512,
      sectorSize: 512,
      grain: 512,
      chain: [],
      parent: { names: ['\u202egnp.exe\n'] },
      references: [{ role: 'data-file', path: '\u0000' }],
      notes: [{ code: 'W_X', message: 'line\r\nbreak' }],
      sections: [
        {
          title: '\u009b',
          facts: [{ name: 'x', value: '\u001b' }],
          fields: [{ name: 'y', position: 0, length: 4, value: 5n, display: 'hex' }],
        },
      ],
    },
  })
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
  assert.match(text, /0x00000005/)
})

test('options of the command line', () => {
  assert.deepEqual(optionValues(['a=1', 'b=x=y', 'c='], { d: '2', e: undefined }), { a: '1', b: 'x=y', c: '', d: '2' })
  for (const texts of [['a'], ['=1'], ['a=1', 'a=2']]) assert.throws(() => optionValues(texts), /option/)
  assert.throws(() => optionValues(['d=1'], { d: '2' }), /twice/)
})

test('colours: what turns them on in a pipe, and off on a terminal', () => {
  const cases: readonly [terminal: boolean, variables: Readonly<Record<string, string>>, colours: boolean][] = [
    [true, {}, true],
    [false, {}, false],
    [false, { FORCE_COLOR: '1' }, true],
    [false, { FORCE_COLOR: '3' }, true],
    [true, { FORCE_COLOR: '0' }, false],
    [true, { FORCE_COLOR: '' }, true],
    [false, { CLICOLOR_FORCE: '1' }, true],
    [false, { CLICOLOR_FORCE: '0' }, false],
    [true, { CLICOLOR: '0' }, false],
    [true, { CLICOLOR: '1' }, true],
    [true, { NO_COLOR: '1' }, false],
    [true, { NO_COLOR: '' }, true],
    [false, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
    [true, { TERM: 'dumb' }, false],
    [false, { TERM: 'dumb', FORCE_COLOR: '1' }, true],
  ]
  for (const [terminal, variables, colours] of cases)
    assert.equal(takesColours(terminal, variables), colours, JSON.stringify({ terminal, variables }))
})

test('a terminal that says it has no columns has 80', async () => {
  assert.equal((await renderer({ isTTY: true, columns: 0 })).columns, 80)
  assert.equal((await renderer({ isTTY: true, columns: 20 })).columns, 40, 'never less than can be read')
  assert.equal((await renderer({})).columns, 80)
})

test('columns of more rows than a call takes arguments', () => {
  const rows = Array.from({ length: 200_000 }, (_, index) => [String(index), 'x'])
  assert.deepEqual(
    [0, 1, 2].map((column) => widest(rows, column)),
    [6, 1, 0],
  )
})
