import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blockMap, type BlockMapOptions } from '../../fixtures/spec-writer/block-map.js'
import { isImageError } from '../../src/errors.js'
import { parseBlockMap, type Bmap } from '../../src/operations/bmap/parse.js'
import { Random } from '../fuzz/random.js'
import { diskLike } from '../support/content.js'
import { ProcessorTime } from '../support/processor-time.js'

const block = 4096
const image = Buffer.from(diskLike(10 * block + 100, 5))
const usual: BlockMapOptions = {
  image,
  ranges: [
    [0, 2],
    [5, 5],
    [9, 10],
  ],
}
const places = [
  [0, 3 * block],
  [5 * block, block],
  [9 * block, block + 100],
]
const made = (options: Partial<BlockMapOptions> = {}): string => blockMap({ ...usual, ...options })
const edited = (
  from: string | RegExp,
  to: string | ((match: string) => string),
  options: Partial<BlockMapOptions> = {},
): string =>
  made({
    ...options,
    edit: (text) => {
      const after = typeof to === 'string' ? text.replace(from, to) : text.replace(from, to)
      assert.notEqual(after, text)
      return after
    },
  })
const signed = (text: string): string =>
  `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n${text.replace(/\n$/, '')}\n` +
  '-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n'

const sound: readonly (readonly [what: string, text: string | Buffer, notes?: readonly string[]])[] = [
  ['version 2.0', made()],
  ['version 1.4', made({ version: '1.4' })],
  ['version 1.3, with SHA-1', made({ version: '1.3' })],
  ['version 1.2, without checksums', made({ version: '1.2' })],
  ['version 1.0', made({ version: '1.0' })],
  ['SHA-512', made({ algorithm: 'sha512' })],
  ['checksums in upper case', edited(/chksum="[0-9a-f]+"/g, (sum) => sum.toUpperCase().replace('CHKSUM', 'chksum'))],
  ['signed in the clear', signed(made()), ['W_BMAP_SIGNATURE']],
  ['a range without a checksum', edited(/ chksum="[0-9a-f]+"/, ''), ['W_BMAP_NO_CHECKSUM']],
  ['other elements', edited('<BlockMap>', '<Other>1</Other><BlockMap>')],
  ['no blanks', made({ edit: (text) => text.replace(/> +(?=\S)/g, '>').replace(/(?<=\S) +</g, '<') })],
]

const damaged: readonly (readonly [what: string, code: string, text: string | Buffer])[] = [
  ['empty', 'E_BMAP', ''],
  ['no XML', 'E_BMAP', 'bmap'],
  ['zeros', 'E_BMAP', Buffer.alloc(5000)],
  ['cut off', 'E_BMAP', made().slice(0, 600)],
  ['another root', 'E_BMAP', edited(/bmap version/, 'map version').replace('</bmap>', '</map>')],
  ['a document type', 'E_BMAP', edited('<bmap', '<!DOCTYPE bmap [<!ENTITY a "aaaa">]><bmap')],
  ['an entity', 'E_BMAP', edited('<BlockSize> 4096', '<BlockSize> &a;')],
  [
    '1000 elements in each other',
    'E_BMAP',
    edited('<BlockMap>', `${'<a>'.repeat(1000)}${'</a>'.repeat(1000)}<BlockMap>`),
  ],
  ['no version', 'E_BMAP', edited(' version="2.0"', '')],
  ['version x', 'E_BMAP', edited('version="2.0"', 'version="x"')],
  ['version 3.0', 'E_VERSION', edited('version="2.0"', 'version="3.0"')],
  ['version 0.9', 'E_VERSION', edited('version="2.0"', 'version="0.9"')],
  ['an unknown checksum', 'E_BMAP_ALGORITHM', edited('<ChecksumType> sha256', '<ChecksumType> crc7')],
  ['no kind of checksum', 'E_BMAP', edited(/ *<ChecksumType>.*\n/, '')],
  ['no checksum of its own', 'E_BMAP', made().replace(/ *<BmapFileChecksum>.*\n/, '')],
  ['a checksum of its own that is wrong', 'E_BMAP', made().replace(/(<BmapFileChecksum> ).{4}/, '$1beef')],
  ['a character that was changed', 'E_BMAP', made().replace('This file', 'that file')],
  ['a range that was changed', 'E_BMAP', made().replace('> 5 <', '> 6 <')],
  ['no size', 'E_BMAP', edited(/ *<ImageSize>.*\n/, '')],
  ['two sizes', 'E_BMAP', edited(/( *<ImageSize>.*\n)/, '$1$1')],
  ['a size of −1', 'E_BMAP', edited(/<ImageSize> \d+/, '<ImageSize> -1')],
  ['a size of 2^64', 'E_BMAP', edited(/<ImageSize> \d+/, '<ImageSize> 18446744073709551616')],
  ['blocks of no bytes', 'E_BMAP', edited('<BlockSize> 4096', '<BlockSize> 0')],
  ['blocks of 2^40 bytes', 'E_BMAP', edited('<BlockSize> 4096', '<BlockSize> 1099511627776')],
  ['other blocks than the size has', 'E_BMAP', edited('<BlocksCount> 11', '<BlocksCount> 12')],
  ['other mapped blocks than the ranges have', 'E_BMAP', edited('<MappedBlocksCount> 6', '<MappedBlocksCount> 5')],
  ['no list of blocks', 'E_BMAP', edited(/<BlockMap>[^]*<\/BlockMap>/, '')],
  ['two lists of blocks', 'E_BMAP', edited('</BlockMap>', '</BlockMap><BlockMap></BlockMap>')],
  ['a range that is no number', 'E_BMAP', edited('> 5 <', '> five <')],
  ['a range that goes back', 'E_BMAP', edited('> 0-2 <', '> 2-0 <')],
  ['a range past the end', 'E_BMAP', edited('> 9-10 <', '> 10-11 <')],
  ['a range of 2^53 blocks', 'E_BMAP', edited('> 9-10 <', '> 9-9007199254740992 <')],
  ['ranges that overlap', 'E_BMAP', edited('> 5 <', '> 2 <')],
  ['ranges that are not in order', 'E_BMAP', edited('> 9-10 <', '> 3-4 <')],
  ['a checksum of a range that is too short', 'E_BMAP', edited(/chksum="./, 'chksum="')],
  ['a checksum of a range that is no number', 'E_BMAP', edited(/chksum="./, 'chksum="x')],
  ['a signature that is cut off', 'E_BMAP', signed(made()).slice(0, 700)],
]

function parsed(text: string | Buffer): Bmap {
  return parseBlockMap('disk.bmap', Buffer.from(text))
}

for (const [what, text, notes = []] of sound)
  test(`bmap: ${what}`, () => {
    const { imageSize, blockSize, ranges, notes: found } = parsed(text)
    assert.deepEqual([imageSize, blockSize], [image.length, block])
    assert.deepEqual(
      ranges.map(({ start, length }) => [start, length]),
      places,
    )
    assert.deepEqual(
      found.map(({ code }) => code),
      notes,
    )
  })

for (const [what, code, text] of damaged)
  test(`bmap, damaged: ${what}`, () => {
    const begun = new ProcessorTime()
    assert.throws(
      () => parsed(text),
      (error) => isImageError(error) && error.code === code && error.message.includes('disk.bmap'),
      what,
    )
    begun.atMost(2000)
  })

test('bmap: 200,000 ranges are read in bounded time and memory', () => {
  const large = Buffer.alloc(0)
  const text = made({ version: '1.2', image: large, ranges: [] })
    .replace('<ImageSize> 0', `<ImageSize> ${400_000 * block}`)
    .replace('<BlocksCount> 0', '<BlocksCount> 400000')
    .replace('<MappedBlocksCount> 0', '<MappedBlocksCount> 200000')
    .replace(
      '<BlockMap>',
      `<BlockMap>${Array.from({ length: 200_000 }, (_, index) => `<Range>${index * 2}</Range>`).join('')}`,
    )
  assert.equal(parsed(text).ranges.length, 200_000)
  assert.ok(process.resourceUsage().maxRSS < 512 * 1024)
})

test('bmap: whatever is changed in it, the answer is a block map that fits, or an error that says why', () => {
  const cases = Number(process.env['VDISK_BMAP_CASES'] ?? 2000)
  const texts = ['1.2', '1.3', '2.0'].map((version) => Buffer.from(made({ version })))
  let refused = 0
  for (let index = 0; index < cases; index++) {
    const random = new Random(20261130, index)
    let bytes = Buffer.from(random.pick(texts))
    for (let change = random.below(4); change >= 0; change--) {
      const at = random.below(bytes.length)
      if (random.chance(0.5)) bytes.writeUInt8(random.below(256), at)
      else if (random.chance(0.3)) bytes = bytes.subarray(0, at)
      else bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(random.below(bytes.length))])
      if (bytes.length === 0) break
    }
    try {
      const { ranges, imageSize } = parsed(bytes)
      let end = 0
      for (const { start, length } of ranges) {
        assert.ok(start >= end && length > 0 && start + length <= imageSize, `case ${index}`)
        end = start + length
      }
    } catch (error) {
      assert.ok(isImageError(error) && error.kind !== 'internal', `case ${index}: ${String(error)}`)
      refused++
    }
  }
  assert.ok(refused > cases / 2)
})
