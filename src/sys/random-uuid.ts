import { randomUUID } from 'node:crypto'
import { textOfFile } from './readable.js'

/** A random version 4 UUID as text. Linux makes one; Node's crypto takes as long to load as opening an image. */
export function randomUuid(): string {
  return systemUuid() ?? randomUUID()
}

function systemUuid(): string | undefined {
  const text = (textOfFile('/proc/sys/kernel/random/uuid') ?? '').trimEnd()
  return /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(text) ? text : undefined
}
