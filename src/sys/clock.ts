/**
 * Milliseconds on a clock that only goes forward, for measuring how long something takes. The same as
 * `performance.now()`, whose first use makes Node load a dozen modules.
 */
export function milliseconds(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1000 + nanoseconds / 1e6
}
