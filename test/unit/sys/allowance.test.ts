import assert from 'node:assert/strict'
import os from 'node:os'
import { test } from 'node:test'
import { allowance, allowedThreads } from '../../../src/sys/allowance.js'

const gibibyte = 2 ** 30

function reader(files: Readonly<Record<string, string>>): (path: string) => string | undefined {
  return (path) => files[path]
}

test('limits of control groups: both versions, and the groups around', () => {
  const cases: readonly (readonly [Readonly<Record<string, string>>, ReturnType<typeof allowance>])[] = [
    [{}, { processors: undefined, memory: undefined }],
    [
      // A container with a namespace of its own.
      {
        '/proc/self/cgroup': '0::/\n',
        '/sys/fs/cgroup/cpu.max': '50000 100000\n',
        '/sys/fs/cgroup/memory.max': '1073741824\n',
      },
      { processors: 0.5, memory: gibibyte },
    ],
    [
      { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': 'max 100000\n', '/sys/fs/cgroup/memory.max': 'max\n' },
      { processors: undefined, memory: undefined },
    ],
    [
      // A job of Slurm, or a unit of systemd: the limit stands further out.
      {
        '/proc/self/cgroup': '0::/system.slice/job_7/step_0\n',
        '/sys/fs/cgroup/system.slice/job_7/cpu.max': '200000 100000\n',
        '/sys/fs/cgroup/system.slice/job_7/step_0/cpu.max': '400000 100000\n',
        '/sys/fs/cgroup/system.slice/memory.max': '2147483648\n',
      },
      { processors: 2, memory: 2 * gibibyte },
    ],
    [
      // Version 1, whose path is that of the host.
      {
        '/proc/self/cgroup': '4:memory:/kubepods/pod1\n2:cpu,cpuacct:/kubepods/pod1\n0::/\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '150000\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
        '/sys/fs/cgroup/memory/memory.limit_in_bytes': '536870912\n',
      },
      { processors: 1.5, memory: gibibyte / 2 },
    ],
    [
      {
        '/proc/self/cgroup': '4:memory:/\n2:cpu:/\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
        '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
      },
      { processors: undefined, memory: undefined },
    ],
  ]
  for (const [files, expected] of cases) assert.deepEqual(allowance(reader(files)), expected, JSON.stringify(files))
})

test('threads follow the limits of the control group, and there is always one', () => {
  const threads = (cpu: string, memory: string): number =>
    allowedThreads(
      reader({ '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': cpu, '/sys/fs/cgroup/memory.max': memory }),
    )
  const all = os.availableParallelism()
  assert.equal(threads('max 100000', 'max'), all)
  assert.equal(threads('100000 100000', 'max'), 1)
  assert.equal(threads('10000 100000', 'max'), 1)
  assert.equal(threads('150000 100000', 'max'), Math.min(2, all))
  assert.equal(threads('max 100000', String(64 * 2 ** 20)), 1)
  assert.equal(threads('max 100000', String(256 * 2 ** 20)), Math.min(2, all))
})
