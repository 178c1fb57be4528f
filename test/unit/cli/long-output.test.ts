import assert from 'node:assert/strict'
import test from 'node:test'
import { jsonText } from '../../../src/cli/error-text.js'
import { documentPieces, linePieces, writePieces } from '../../../src/cli/long-output.js'
import { keepSecret } from '../../../src/sys/secrets.js'

test('a document in pieces is the text that it is in one', () => {
  const files = [{ name: 'a\nb', size: 3, none: undefined, inner: ['x', { y: 1n }] }, { name: 'ü' }, 'text', null]
  const document = {
    schema: 'vdisk.ls',
    schemaVersion: 1,
    none: undefined,
    empty: [],
    notes: [{ code: 'W' }],
    more: {},
  }
  const whole = `${jsonText({ ...document, files })}\n`
  const list = (items: readonly unknown[]): Iterable<unknown> => new Set(items)
  assert.equal([...documentPieces({ ...document, empty: list([]), files: list(files) })].join(''), whole)
  assert.equal([...documentPieces({ ...document, files })].join(''), whole)
})

test('a long text is written piece by piece, without secrets, until nobody takes it', async () => {
  const taken: string[] = []
  let waiting = 0
  const output = (room: number) => ({
    write(text: string, done: (error?: Error | null) => void): boolean {
      assert.equal(++waiting, 1, 'the piece before was not taken yet')
      taken.push(text)
      setImmediate(() => {
        waiting--
        done(taken.length < room ? null : new Error('gone'))
      })
      return true
    },
  })
  keepSecret('https://user:word@example.org/', 'https://example.org/')
  const lines = Array.from({ length: 20_000 }, (_, index) => `${index} https://user:word@example.org/`)
  await writePieces(output(Infinity), linePieces(lines))
  assert.equal(taken.join(''), lines.map((_, index) => `${index} https://example.org/\n`).join(''))
  assert.ok(taken.length > 3, `${taken.length} pieces`)
  taken.length = 0
  await writePieces(output(2), linePieces(lines))
  assert.equal(taken.length, 2)
})
