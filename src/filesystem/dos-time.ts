/**
 * A date and time of FAT or exFAT in nanoseconds since 1970, taken as UTC. What no calendar has is moved to the nearest
 * day, as Linux does.
 * @param date year − 1980, month, day in 7, 4 and 5 bits. @param time hours, minutes, half seconds in 5, 6 and 5 bits.
 * @param hundredths 0 … 199 more hundredths of a second.
 */
export function dosTime(date: number, time: number, hundredths = 0): bigint {
  const year = 1980 + Math.floor(date / 512)
  const month = Math.min(12, Math.max(1, Math.floor(date / 32) % 16))
  const day = Math.max(1, date % 32)
  const seconds =
    Date.UTC(year, month - 1, day, Math.floor(time / 2048), Math.floor(time / 32) % 64, (time % 32) * 2) / 1000
  return BigInt(seconds) * 1_000_000_000n + BigInt(Math.min(hundredths, 199)) * 10_000_000n
}
