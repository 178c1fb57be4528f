import assert from 'node:assert/strict'
import test from 'node:test'
import v8 from 'node:v8'
import vm from 'node:vm'
import type { FileNode } from '../../../src/filesystem/types.js'
import { fileTimeText, ListedFiles } from '../../../src/operations/files/listed-files.js'

const node = (more: Partial<FileNode> = {}): FileNode => ({ kind: 'file', size: 0, modified: 0n, id: '1', ...more })

test('files are listed folder by folder, by their names, with what the filesystem has of them', () => {
  const files = new ListedFiles()
  files.add('b', node({ kind: 'directory', mode: 0o755, owner: 1000, group: 4, links: 2, modified: -1n }))
  files.add('a', node({ size: 2 ** 52, modified: 2n ** 80n }))
  files.add('B', node({ kind: 'link', size: 1, target: 'a' }))
  assert.deepEqual([...files.closeFolder('/', 0)], [2, 1, 0])
  files.add('x', node({ modified: 1_700_000_000_123_456_789n, otherStreams: ['s'] }))
  assert.deepEqual([...files.closeFolder('/b', 3)], [3])
  assert.equal(files.length, 4)
  const none = { mode: undefined, owner: undefined, group: undefined, links: undefined }
  const plain = { kind: 'file', ...none, target: undefined, otherStreams: undefined }
  const start = '1970-01-01T00:00:00.000000000Z'
  assert.deepEqual(
    [...files],
    [
      { ...plain, name: 'B', path: '/B', kind: 'link', size: 1, modified: start, target: 'a' },
      { ...plain, name: 'a', path: '/a', size: 2 ** 52, modified: fileTimeText(2n ** 80n) },
      {
        ...plain,
        name: 'b',
        path: '/b',
        kind: 'directory',
        size: 0,
        mode: 0o755,
        owner: 1000,
        group: 4,
        links: 2,
        modified: '1969-12-31T23:59:59.999999999Z',
      },
      { ...plain, name: 'x', path: '/b/x', size: 0, modified: '2023-11-14T22:13:20.123456789Z', otherStreams: ['s'] },
    ],
  )
})

test('a file takes little memory until it is looked at', () => {
  v8.setFlagsFromString('--expose-gc')
  const collect = vm.runInNewContext('gc') as () => void
  const used = (): number => {
    collect()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  const count = 2 ** 17
  const before = used()
  const files = new ListedFiles()
  for (let index = 0; index < count; index++)
    files.add(`file-${index}`, node({ mode: 0o644, owner: 0, group: 0, links: 1, modified: BigInt(index) }))
  files.closeFolder('/', 0)
  const each = (used() - before) / count
  assert.ok(each < 200, `${each.toFixed(0)} bytes a file`)
  assert.equal(files.length, count)
})
