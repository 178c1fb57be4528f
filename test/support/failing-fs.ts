import fs from 'node:fs'

/**
 * Makes calls of the system that change a file fail, one by one. To be imported before anything of src/: the functions
 * are exchanged when this is loaded, in this thread. Calls that do not go through Node (koffi) are switched off.
 */
process.env['VDISK_NO_SYSCALLS'] = '1'

export type Fault = 'ENOSPC' | 'EIO' | 'EDQUOT' | 'EFBIG'

interface Plan {
  /** Only files below it. */
  readonly folder: string
  /** The call that fails, from 1 on; 0: none. */
  readonly at: number
  readonly code: Fault
  /** `once`: that call alone; `on`: all from there; `stop`: nothing that changes anything is done from there. */
  readonly mode: 'once' | 'on' | 'stop'
}

let plan: Plan | undefined
let calls = 0
let hit = false

/** Does the work with the faults planned. @returns how many calls there were, and whether one failed. */
export async function withFaults<Result>(
  wanted: Plan,
  work: () => Promise<Result>,
): Promise<{ readonly calls: number; readonly hit: boolean; readonly result?: Result; readonly error?: unknown }> {
  plan = wanted
  calls = 0
  hit = false
  try {
    return { result: await work(), calls, hit }
  } catch (error) {
    return { error, calls, hit }
  } finally {
    plan = undefined
  }
}

function isInside(descriptor: number): boolean {
  try {
    return plan !== undefined && fs.readlinkSync(`/proc/self/fd/${descriptor}`).startsWith(plan.folder)
  } catch {
    return false
  }
}

/** The error of this call; undefined when it succeeds. */
function fault(syscall: string): NodeJS.ErrnoException | undefined {
  if (plan === undefined) return undefined
  calls++
  const { at, mode, code } = plan
  if (at === 0 || (mode === 'once' ? calls !== at : calls < at)) return undefined
  hit = true
  return Object.assign(new Error(`${code}: injected, ${syscall}`), { code, syscall, errno: -1 })
}

type AnyFunction = (...values: unknown[]) => unknown
const functions = fs as unknown as Record<string, AnyFunction>

for (const [name, syscall] of [
  ['writeSync', 'write'],
  ['fsyncSync', 'fsync'],
  ['ftruncateSync', 'ftruncate'],
] as const) {
  const real = functions[name] as AnyFunction
  functions[name] = (...values) => {
    const error = isInside(values[0] as number) ? fault(syscall) : undefined
    if (error !== undefined) throw error
    return real(...values)
  }
}

const write = functions['write'] as AnyFunction
functions['write'] = (...values) => {
  const error = isInside(values[0] as number) ? fault('write') : undefined
  if (error === undefined) return write(...values)
  const done = values.at(-1) as (error: Error) => void
  setImmediate(() => done(error))
  return undefined
}

// What gives names and takes them fails only when everything does.
for (const name of ['renameSync', 'linkSync', 'unlinkSync', 'rmSync'] as const) {
  const real = functions[name] as AnyFunction
  functions[name] = (...values) => {
    const { at = 0, mode } = plan ?? {}
    const error = mode === 'stop' && at > 0 && calls >= at ? fault(name) : undefined
    if (error !== undefined) throw error
    return real(...values)
  }
}
