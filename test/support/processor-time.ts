/** Milliseconds of processor time that this process has taken: a busy machine makes no test fail. */
export function processorTime(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
