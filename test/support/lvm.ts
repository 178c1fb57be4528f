/** Volume groups made by LVM's own tools, which need no device mapper for that; their volumes are filled here. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import type { TestContext } from 'node:test'

/** Runs a command of LVM's over some devices only. */
export function lvm(devices: readonly string[], command: string, ...parameters: string[]): string {
  const filter = [...devices.map((device) => `"a|^${device}$|"`), '"r|.*|"'].join(',')
  const config =
    `global{activation=0 use_lvmpolld=0 use_lvmlockd=0} devices{use_devicesfile=0 scan="/dev" filter=[${filter}] ` +
    'write_cache_state=0} backup{backup=0 archive=0}'
  const result = spawnSync(command, ['--driverloaded', 'n', '--config', config, ...parameters], {
    encoding: 'utf8',
    env: { ...process.env, LVM_SUPPRESS_FD_WARNINGS: '1' },
  })
  if (result.status !== 0) throw new Error(`${command} ${parameters.join(' ')}: ${result.stdout}${result.stderr}`)
  return result.stdout
}

/** A range of bytes on the devices of a group, without partitions between. */
export interface DeviceOfGroup {
  readonly path: string
  /** Where on the disk it begins, in bytes. */
  readonly start: number
}

/** A loop device over a part of a file, gone after the test. */
export function partDevice(t: TestContext, file: string, start: number, length: number): DeviceOfGroup {
  const result = spawnSync(
    'losetup',
    ['--find', '--show', '--offset', String(start), '--sizelimit', String(length), file],
    { encoding: 'utf8' },
  )
  if (result.status !== 0) throw new Error(`losetup: ${result.stderr}`)
  const path = result.stdout.trim()
  t.after(() => spawnSync('losetup', ['--detach', path]))
  return { path, start }
}

interface Segment {
  readonly seg_start: string
  readonly seg_size: string
  readonly seg_pe_ranges: string
  readonly stripe_size: string
}

/** Writes the content of a logical volume to where `lvs` says that it lies. */
export function fillVolume(file: string, devices: readonly DeviceOfGroup[], volume: string, content: Buffer): void {
  const paths = devices.map(({ path }) => path)
  const units = ['--units', 'b', '--nosuffix', '--reportformat', 'json']
  type Row = Record<string, string>
  const report = (command: string, ...parameters: string[]): Row[] => {
    const text = lvm(paths, command, ...units, ...parameters)
    const [all] = (JSON.parse(text) as { report: [Record<string, Row[]>] }).report
    return Object.values(all)[0] ?? []
  }
  const starts = new Map(
    report('pvs', '-o', 'pv_name,pe_start').map(({ pv_name, pe_start }) => [pv_name, Number(pe_start)]),
  )
  const extent = Number(report('vgs', '-o', 'vg_extent_size')[0]?.['vg_extent_size'])
  const out = fs.openSync(file, 'r+')
  const segments = report(
    'lvs',
    '--segments',
    '-o',
    'seg_start,seg_size,seg_pe_ranges,stripe_size',
    volume,
  ) as unknown as Segment[]
  for (const { seg_start, seg_size, seg_pe_ranges, stripe_size } of segments) {
    const places = seg_pe_ranges.split(' ').map((range) => {
      const [, path = '', first = ''] = /^(.*):(\d+)-\d+$/.exec(range) ?? []
      const device = devices.find((one) => one.path === path)!
      return device.start + starts.get(path)! + Number(first) * extent
    })
    const size = Number(seg_size)
    const stripe = places.length === 1 ? size : Number(stripe_size)
    for (let at = 0; at < size; at += stripe) {
      const index = at / stripe
      const place = places[index % places.length]! + Math.floor(index / places.length) * stripe
      const piece = content.subarray(Number(seg_start) + at, Number(seg_start) + Math.min(size, at + stripe))
      fs.writeSync(out, piece, 0, piece.length, place)
    }
  }
  fs.closeSync(out)
}
