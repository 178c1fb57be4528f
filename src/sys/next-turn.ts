/** Lets what waits have its turn: signals, timers, what came from disks and connections. */
export async function nextTurn(): Promise<void> {
  await new Promise<void>((resume) => setImmediate(resume))
}
