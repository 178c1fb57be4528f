import fs from '../../sys/host-fs.js'
import { parseMounts, type Mount } from '../../device/mounts.js'

/** All mounts as they are now. */
export function currentMounts(): readonly Mount[] {
  return parseMounts(fs.readFileSync('/proc/self/mountinfo', 'utf8'))
}

/** The mount that is seen at a folder; undefined: none is exactly there. */
export function mountAt(point: string, mounts = currentMounts()): Mount | undefined {
  return mounts.filter((mount) => mount.point === point).at(-1)
}
