import { viewOf } from '../../binary/integers.js'

const second = 1_000_000_000n

/** A time in seven bytes (ECMA-119, 9.1.5), in nanoseconds since 1970; the last byte is the zone, in quarter hours. */
export function shortTime(bytes: Uint8Array): bigint {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, seconds = 0] = bytes
  if (month === 0) return 0n
  const zone = viewOf(bytes).getInt8(6)
  return BigInt(Date.UTC(1900 + year, month - 1, day, hour, minute, seconds) / 1000 - zone * 900) * second
}

/** A time in sixteen digits and a zone (ECMA-119, 8.4.26.1); undefined where it is none. */
export function longTime(bytes: Uint8Array): bigint | undefined {
  const digits = Buffer.from(bytes.subarray(0, 16)).toString('latin1')
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(digits)?.slice(1).map(Number)
  if (parts === undefined) return undefined
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, seconds = 0, hundredths = 0] = parts
  const zone = viewOf(bytes).getInt8(16)
  const whole = Date.UTC(year, month - 1, day, hour, minute, seconds) / 1000 - zone * 900
  return BigInt(whole) * second + BigInt(hundredths) * 10_000_000n
}
