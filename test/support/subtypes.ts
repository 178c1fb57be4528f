import type { ConvertOptions } from '../../src/index.js'

/** A way to store a disk that both vdisk and qemu-img can write. */
export interface Subtype {
  /** What the tests call it. */
  readonly name: string
  readonly extension: string
  /** For `convert`. */
  readonly options: Pick<ConvertOptions, 'to' | 'options'>
  /** qemu-img's name of the format, and its arguments for the subtype. */
  readonly qemuFormat: string
  readonly qemuArguments: readonly string[]
  /** Whether `qemu-img check` knows the format. */
  readonly checks: boolean
}

function subtype(
  name: string,
  extension: string,
  to: string,
  options: ConvertOptions['options'],
  qemuFormat: string,
  qemuArguments: readonly string[],
): Subtype {
  return {
    name,
    extension,
    options: { to, options },
    qemuFormat,
    qemuArguments,
    checks: ['qcow2', 'vhdx', 'vdi'].includes(qemuFormat) || name === 'VMDK sparse',
  }
}

export const subtypes: readonly Subtype[] = [
  subtype('raw', 'img', 'raw', undefined, 'raw', []),
  subtype('VHD fixed', 'vhd', 'vhd', { subformat: 'fixed' }, 'vpc', ['-o', 'subformat=fixed,force_size=on']),
  subtype('VHD dynamic', 'vhd', 'vhd', { subformat: 'dynamic' }, 'vpc', ['-o', 'subformat=dynamic,force_size=on']),
  subtype('VHDX fixed', 'vhdx', 'vhdx', { subformat: 'fixed' }, 'vhdx', ['-o', 'subformat=fixed']),
  subtype('VHDX dynamic', 'vhdx', 'vhdx', { subformat: 'dynamic' }, 'vhdx', ['-o', 'subformat=dynamic,block_size=1M']),
  subtype('QCOW2 v2', 'qcow2', 'qcow2', { subformat: 'v2' }, 'qcow2', ['-o', 'compat=0.10']),
  subtype('QCOW2 v3', 'qcow2', 'qcow2', { subformat: 'v3' }, 'qcow2', ['-o', 'compat=1.1']),
  subtype('QCOW2 zlib', 'qcow2', 'qcow2', { compress: 'zlib' }, 'qcow2', ['-c', '-o', 'compression_type=zlib']),
  subtype('QCOW2 zstd', 'qcow2', 'qcow2', { compress: 'zstd' }, 'qcow2', ['-c', '-o', 'compression_type=zstd']),
  subtype('VDI dynamic', 'vdi', 'vdi', { subformat: 'dynamic' }, 'vdi', []),
  subtype('VDI fixed', 'vdi', 'vdi', { subformat: 'fixed' }, 'vdi', ['-o', 'static=on']),
  subtype('QCOW2 extended L2', 'qcow2', 'qcow2', { 'extended-l2': true }, 'qcow2', ['-o', 'extended_l2=on']),
  ...(
    [
      ['VMDK sparse', 'monolithicSparse'],
      ['VMDK flat', 'monolithicFlat'],
      ['VMDK split', 'twoGbMaxExtentSparse'],
      ['VMDK split flat', 'twoGbMaxExtentFlat'],
      ['VMDK stream', 'streamOptimized'],
    ] as const
  ).map(([name, subformat]) => subtype(name, 'vmdk', 'vmdk', { subformat }, 'vmdk', ['-o', `subformat=${subformat}`])),
]
