import { derivedUuid, parseUuid, uuidText } from '../../binary/guid.js'
import { printable, usage } from '../../errors.js'
import type { ImageIdentity } from '../../formats/driver.js'
import { randomUuid } from '../../sys/random-uuid.js'

/**
 * The ids and the time of a new image. With both given, the same input gives the same bytes.
 * @param uuid text with or without braces; random when left out. @param time seconds since 1970; now when left out.
 * @throws ImageError usage E_UUID, E_TIME.
 */
export function imageIdentity(uuid?: string, time?: number): ImageIdentity {
  const parsed = uuid === undefined ? undefined : parseUuid(uuid)
  if (uuid !== undefined && parsed === undefined)
    throw usage('E_UUID', `${printable(uuid)} is no UUID`, {
      hint: 'Write it as xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx.',
    })
  if (time !== undefined && (!Number.isSafeInteger(time) || time < 0))
    throw usage('E_TIME', `${String(time)} is no time in whole seconds since 1970`)
  const own = parsed === undefined ? randomUuid() : uuidText(parsed)
  return { uuid: own, derive: (name) => derivedUuid(own, name), time: time ?? Math.floor(Date.now() / 1000) }
}
