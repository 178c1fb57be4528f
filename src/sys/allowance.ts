import os from 'node:os'
import { textOfFile } from './readable.js'

/** What a control group lets its processes have. Undefined: there is no limit below that of the computer. */
export interface Allowance {
  /** Processors, in parts: half of one is 0.5. */
  readonly processors?: number
  /** Bytes of memory. */
  readonly memory?: number
}

/** What one thread may need: its heap, and the units that it works on. */
const memoryPerThread = 128 * 1024 * 1024
/** Above this a limit of memory is none: the kernel's largest number, rounded to pages. */
const noLimit = 2 ** 60

/** Threads that are worth having here: as many as there are processors, or as the control groups allow. */
export function allowedThreads(read = textOfFile): number {
  const { processors = Infinity, memory = Infinity } = allowance(read)
  return Math.max(1, Math.min(os.availableParallelism(), Math.ceil(processors), Math.floor(memory / memoryPerThread)))
}

/**
 * The limits of the control groups that the process is in, of both versions; those of the groups around them count too
 * (kernel documentation, admin-guide/cgroup-v2 and cgroup-v1).
 * @param read gives the text of a file of the system; undefined where there is none.
 */
export function allowance(read = textOfFile): Allowance {
  let processors: number | undefined
  let memory: number | undefined
  for (const { mount, path, version, controllers } of groups(read('/proc/self/cgroup') ?? ''))
    for (const folder of upwards(mount, path)) {
      const number = (name: string): number => Number(read(`${folder}/${name}`)?.trim() || Number.NaN)
      if (version === 2) {
        const [quota, period] = (read(`${folder}/cpu.max`) ?? '').trim().split(' ').map(Number)
        processors = least(processors, (quota ?? Number.NaN) / (period ?? Number.NaN))
        memory = least(memory, number('memory.max'))
      } else if (controllers.includes('cpu'))
        processors = least(processors, number('cpu.cfs_quota_us') / number('cpu.cfs_period_us'))
      else memory = least(memory, number('memory.limit_in_bytes'))
    }
  return { processors, memory: memory !== undefined && memory < noLimit ? memory : undefined }
}

/** The lesser of two limits; what is no number above zero (`max`, −1) is none. */
function least(before: number | undefined, found: number): number | undefined {
  return found > 0 && found < (before ?? Infinity) ? found : before
}

interface Group {
  readonly mount: string
  readonly path: string
  readonly version: 1 | 2
  readonly controllers: readonly string[]
}

function groups(text: string): Group[] {
  const found: Group[] = []
  for (const line of text.split('\n')) {
    const [, names, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    if (names === undefined || path === undefined) continue
    const controllers = names.split(',')
    if (names === '') found.push({ mount: '/sys/fs/cgroup', path, version: 2, controllers })
    for (const name of ['cpu', 'memory'])
      if (controllers.includes(name)) {
        // Controllers that share a hierarchy are mounted under their joined name, or a link from each.
        found.push({ mount: `/sys/fs/cgroup/${name}`, path, version: 1, controllers: [name] })
      }
  }
  return found
}

/** A group and those around it. In a container the path may be one of the host, and its own limits are at `/`. */
function upwards(mount: string, path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '' && part !== '..')
  return Array.from({ length: parts.length + 1 }, (_, index) =>
    [mount, ...parts.slice(0, parts.length - index)].join('/'),
  )
}
