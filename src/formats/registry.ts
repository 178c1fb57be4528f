import type { FormatDriver } from './driver.js'
import { qcow } from './qcow/index.js'
import { qcow2 } from './qcow2/index.js'
import { raw } from './raw/index.js'
import { vhdx } from './vhdx/index.js'

/** The formats built in, one line each. The order is that of `vdisk formats`. */
export const builtinDrivers: readonly FormatDriver[] = [
  raw,
  vhdx,
  qcow2,
  qcow,
]
