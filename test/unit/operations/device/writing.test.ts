import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BytesSource } from '../../../../src/block/bytes-source.js'
import { corrupt, isImageError, targetError, type ImageError, printable } from '../../../../src/errors.js'
import {
  DeviceSink,
  edgeLength,
  type DeviceWriting,
  type DeviceWritten,
  type WritableDevice,
} from '../../../../src/operations/transfer/sink-device.js'
import { runSteps } from '../../../../src/operations/transfer/step.js'
import { diskLike } from '../../../support/content.js'

const mebibyte = 1048576
const size = 6 * mebibyte

type Operation =
  | { readonly kind: 'zero' | 'write' | 'read'; readonly position: number; readonly length: number }
  | { readonly kind: 'flush' }

/** A device in memory that reports what was done with it, and fails where it should. */
class MemoryDevice implements WritableDevice {
  readonly name = printable('/dev/memory')
  readonly growable = false
  readonly alignment = 1
  readonly zeroed = false
  readonly sectorSize = 512
  readonly operations: Operation[] = []
  /** What is on the medium for sure: the content at the last flush. */
  flushed: Buffer
  /** Changes what is read back. */
  lies: ((position: number, target: Uint8Array) => void) | undefined

  constructor(
    readonly bytes: Buffer,
    readonly fails: (operation: Operation, index: number) => boolean = () => false,
  ) {
    this.flushed = Buffer.from(bytes)
  }

  get size(): number {
    return this.bytes.length
  }

  read(position: number, target: Uint8Array): void {
    this.#did({ kind: 'read', position, length: target.length })
    target.set(this.bytes.subarray(position, position + target.length))
    this.lies?.(position, target)
  }

  write(position: number, bytes: Uint8Array): void {
    this.#did({ kind: 'write', position, length: bytes.length })
    this.bytes.set(bytes, position)
  }

  zero(position: number, length: number): void {
    this.#did({ kind: 'zero', position, length })
    this.bytes.fill(0, position, position + length)
  }

  truncate(): void {
    throw new Error('a device has the size it has')
  }

  flush(): void {
    this.#did({ kind: 'flush' })
    this.flushed = Buffer.from(this.bytes)
  }

  [Symbol.dispose](): void {
    // Memory.
  }

  #did(operation: Operation): void {
    this.operations.push(operation)
    if (!this.fails(operation, this.operations.length - 1)) return
    if (operation.kind === 'read') throw corrupt('E_READ', 'it cannot be read')
    throw targetError(
      'E_WRITE',
      'it cannot be written',
      operation.kind === 'flush' ? {} : { details: { position: operation.position } },
    )
  }
}

const content = Buffer.from(diskLike(size, 9))
content.fill(0x11, 0, 4096)
content.fill(0x22, size - 4096)
const old = (): Buffer => Buffer.alloc(size, 'old ')
type Writing = Omit<DeviceWriting, 'name' | 'size' | 'open'>

const writing = (more: Partial<Writing> = {}): Writing => ({
  source: new BytesSource(content, 'the source', 512),
  end: size,
  verify: 'source',
  threads: 0,
  ...more,
})

/** Carries out the plan for a device. */
async function writeDevice(device: MemoryDevice, how: Writing): Promise<DeviceWritten> {
  using sink = new DeviceSink({ ...how, name: device.name, size, open: () => device })
  await runSteps(sink.steps)
  return sink.result
}

async function failing(device: MemoryDevice, how: Writing): Promise<ImageError> {
  try {
    await writeDevice(device, how)
  } catch (error) {
    assert.ok(isImageError(error), String(error))
    return error
  }
  assert.fail('it did not fail')
}

function endsAreClear(bytes: Buffer): boolean {
  return (
    bytes.subarray(0, edgeLength).every((byte) => byte === 0) &&
    bytes.subarray(size - edgeLength).every((byte) => byte === 0)
  )
}

for (const verify of ['source', 'digest', 'no'] as const) {
  test(`both ends first and last, the very first last of all; verify: ${verify}`, async () => {
    const device = new MemoryDevice(old())
    const result = await writeDevice(device, writing({ verify }))
    assert.ok(device.bytes.equals(content))
    assert.ok(device.flushed.equals(content))
    assert.equal(result.verified, verify !== 'no')
    assert.equal(result.bytesWritten + result.bytesZeroed, size)
    const { operations } = device
    assert.deepEqual(operations.slice(0, 3), [
      { kind: 'zero', position: 0, length: edgeLength },
      { kind: 'zero', position: size - edgeLength, length: edgeLength },
      { kind: 'flush' },
    ])
    const changes = operations.filter(({ kind }) => kind !== 'read')
    assert.deepEqual(changes.slice(-5), [
      { kind: 'flush' },
      { kind: 'write', position: size - edgeLength, length: edgeLength },
      { kind: 'flush' },
      { kind: 'write', position: 0, length: edgeLength },
      { kind: 'flush' },
    ])
    // Nothing in between touches the ends, and all of it is read back before they are written.
    for (const operation of changes.slice(3, -4)) {
      if ('position' in operation)
        assert.ok(operation.position >= edgeLength && operation.position + operation.length <= size - edgeLength)
    }
    const lastBody = operations.findLastIndex(
      (operation) => operation.kind === 'write' && operation.position > 0 && operation.position < size - edgeLength,
    )
    const tail = operations.findLastIndex(
      (operation) => operation.kind === 'write' && operation.position === size - edgeLength,
    )
    const between = operations
      .slice(lastBody, tail)
      .reduce((sum, operation) => sum + (operation.kind === 'read' ? operation.length : 0), 0)
    if (verify === 'no') assert.ok(operations.every(({ kind }) => kind !== 'read'))
    assert.equal(between, verify === 'no' ? 0 : size - edgeLength, 'what was written is read back before the ends are')
  })
}

test('a failure at any moment: the old content, nothing, or all of it', async () => {
  const whole = new MemoryDevice(old())
  await writeDevice(whole, writing())
  const seen = new Set<string>()
  for (let at = 0; at < whole.operations.length; at++) {
    // Once it fails it goes on failing, as a device that was pulled out.
    const device = new MemoryDevice(old(), (_operation, index) => index >= at)
    const error = await failing(device, writing())
    const hint = error.hint ?? ''
    const [, left] = /(could not be cleared|cannot be mistaken|may look complete)/.exec(hint) ?? []
    assert.ok(left !== undefined, hint)
    seen.add(left)
    if (left === 'cannot be mistaken')
      assert.ok(
        endsAreClear(device.bytes) || device.bytes.subarray(0, edgeLength).every((byte) => byte === 0),
        `operation ${at}`,
      )
    if (left === 'could not be cleared') assert.ok(device.operations.every(({ kind }) => kind !== 'write'))
  }
  assert.deepEqual([...seen].sort(), ['cannot be mistaken', 'could not be cleared', 'may look complete'])
})

test('a power cut at any moment: never the first mebibyte without all the rest', async () => {
  const states: Buffer[] = []
  const device = new MemoryDevice(old(), () => {
    // What was not flushed may be there or not: the flushed content, and all of it.
    states.push(Buffer.from(device.bytes), Buffer.from(device.flushed))
    return false
  })
  await writeDevice(device, writing({ verify: 'no' }))
  const body = (bytes: Buffer): Buffer => bytes.subarray(edgeLength, size - edgeLength)
  let whole = 0
  for (const state of states) {
    if (state.subarray(0, edgeLength).every((byte) => byte === 0)) continue
    if (state.subarray(0, 4).toString() === 'old ') continue
    whole++
    assert.ok(body(state).equals(body(content)))
    assert.ok(state.subarray(size - edgeLength).equals(content.subarray(size - edgeLength)))
  }
  assert.ok(whole > 0)
})

for (const verify of ['source', 'digest'] as const) {
  test(
    'one byte that is read back otherwise is found, and the device is left without its ends; verify: ' + verify,
    async () => {
      for (const place of [
        edgeLength,
        3 * mebibyte + 77,
        size - edgeLength - 1,
        0,
        edgeLength - 1,
        size - edgeLength,
        size - 1,
      ]) {
        const device = new MemoryDevice(old())
        device.lies = (position, target) => {
          if (position <= place && place < position + target.length)
            target[place - position] = (target[place - position] ?? 0) ^ 0x40
        }
        const error = await failing(device, writing({ verify }))
        assert.deepEqual([error.kind, error.code], ['mismatch', 'E_MISMATCH'], String(place))
        if (verify === 'source') assert.equal(error.details['offset'], place)
        assert.ok(endsAreClear(device.bytes), String(place))
      }
    },
  )
}

test('what lies behind the content is left alone, but for the last mebibyte', async () => {
  const device = new MemoryDevice(old())
  const short = Buffer.alloc(size)
  content.copy(short, 0, 0, 3 * mebibyte)
  await writeDevice(device, writing({ source: new BytesSource(short, 'the source', 512), end: 3 * mebibyte }))
  assert.ok(device.bytes.subarray(0, 3 * mebibyte).equals(content.subarray(0, 3 * mebibyte)))
  assert.ok(device.bytes.subarray(3 * mebibyte, 5 * mebibyte).equals(old().subarray(3 * mebibyte, 5 * mebibyte)))
  assert.ok(device.bytes.subarray(5 * mebibyte).every((byte) => byte === 0))
})

test('an interruption: reported as one, and nothing is found on the device', async () => {
  const stop = new AbortController()
  const device = new MemoryDevice(old())
  const error = await failing(device, writing({ signal: stop.signal, onProgress: () => stop.abort() }))
  assert.equal(error.kind, 'aborted')
  assert.match(error.message, /interrupted while \/dev\/memory was written/)
  assert.ok(endsAreClear(device.bytes))
  // Before anything was done nothing is.
  const untouched = new MemoryDevice(old())
  assert.equal((await failing(untouched, writing({ signal: AbortSignal.abort() }))).kind, 'aborted')
  assert.deepEqual(untouched.operations, [])
})
