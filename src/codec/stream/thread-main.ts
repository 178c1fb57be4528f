import { workerData } from 'node:worker_threads'
import zlib from 'node:zlib'
import { takenApart } from '../../errors.js'
import { streamCodecFor } from './index.js'
import { Input } from './input.js'
import { requestBytes } from './request-bytes.js'
import { place, SharedSlots, slotLength, state, type StartedRequest } from './thread.js'

const { request, memory } = workerData as { readonly request: StartedRequest; readonly memory: SharedArrayBuffer }
const { numbers, position, error, slots } = new SharedSlots(memory)

/** Nobody wants what is decoded any more. */
class Stopped extends Error {}

/** Fills one slot after the other, and waits while none is free. */
class Slots {
  #filled = 0
  #index = 0
  crc32 = 0
  size = 0

  put(piece: Uint8Array): void {
    if (request.expected !== undefined) this.crc32 = zlib.crc32(piece, this.crc32)
    this.size += piece.length
    for (let done = 0; done < piece.length;) {
      if (this.#filled === 0) this.#await()
      const length = Math.min(piece.length - done, slotLength - this.#filled)
      slots[this.#index]?.set(piece.subarray(done, done + length), this.#filled)
      this.#filled += length
      done += length
      if (this.#filled === slotLength) this.flush()
    }
  }

  flush(): void {
    if (this.#filled === 0) return
    numbers[place.lengths + this.#index] = this.#filled
    this.#index = (this.#index + 1) % slots.length
    this.#filled = 0
    Atomics.add(numbers, place.produced, 1)
    happened()
  }

  #await(): void {
    for (;;) {
      if (Atomics.load(numbers, place.stop) !== 0) throw new Stopped()
      const taken = Atomics.load(numbers, place.taken)
      if (Atomics.load(numbers, place.produced) - taken < slots.length) return
      Atomics.wait(numbers, place.taken, taken)
    }
  }
}

function settle(value: number): void {
  Atomics.store(numbers, place.state, value)
  happened()
}

function happened(): void {
  Atomics.add(numbers, place.events, 1)
  Atomics.notify(numbers, place.events)
}

try {
  const input = new Input(request.name, requestBytes(request), request.start, request.end)
  const out = new Slots()
  for await (const piece of streamCodecFor(request.codec).decode(input)) {
    out.put(piece)
    position[0] = input.position
  }
  out.flush()
  const { expected } = request
  if (expected !== undefined && out.size !== expected.size)
    throw input.damaged(`it holds ${out.size} bytes of content instead of ${expected.size}`)
  if (expected !== undefined && out.crc32 !== expected.crc32)
    throw input.damaged('its checksum (CRC-32) is not that of its content', request.start)
  settle(state.ended)
} catch (cause) {
  const text = Buffer.from(
    JSON.stringify(takenApart(cause), (_key, value: unknown) => (typeof value === 'bigint' ? Number(value) : value)),
  )
  const length = Math.min(text.length, error.length)
  error.set(text.subarray(0, length))
  numbers[place.errorLength] = length
  settle(state.failed)
}
