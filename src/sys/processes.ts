import { textOfFile } from './readable.js'

/** When a process started, in clock ticks since the system did; undefined when there is no such process (proc(5)). */
export function startTimeOf(pid: number): string | undefined {
  const text = textOfFile(`/proc/${pid}/stat`)
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ') ?? []
  // The state is field 3; Z and X are dead and only not forgotten yet. The start is field 22.
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
}
