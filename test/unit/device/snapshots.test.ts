import assert from 'node:assert/strict'
import test from 'node:test'
import { lvmPlan } from '../../../src/device/snapshot/lvm.js'
import { commandLine, NoSnapshot, type RunCommand, type SnapshotPlan } from '../../../src/device/snapshot/plan.js'
import { vssPlan } from '../../../src/device/snapshot/vss.js'
import { zfsPlan } from '../../../src/device/snapshot/zfs.js'

/** The plans of snapshots, by answers of lvs and zfs as their manuals have them. */

const origin = { path: '/dev/dm-3', deviceNumber: '254:3' }
const answering =
  (stdout: string, code = 0, stderr = ''): RunCommand =>
  () =>
    Promise.resolve({ code, stdout, stderr })

/** A row of lvs 2.03, as it prints it of a real volume group, with other values. */
function row(values: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  return {
    vg_name: 'vg',
    lv_name: 'root',
    lv_attr: '-wi-ao----',
    lv_size: '12582912',
    origin: '',
    vg_free: '50331648',
    vg_extent_size: '4194304',
    lv_kernel_major: '254',
    lv_kernel_minor: '3',
    lv_tags: '',
    ...values,
  }
}

const report = (...rows: readonly Readonly<Record<string, string>>[]): RunCommand =>
  answering(JSON.stringify({ report: [{ lv: rows }] }))

async function lvm(run: RunCommand): Promise<SnapshotPlan> {
  const plan = await lvmPlan(origin, 'vdisk-1', run)
  assert.ok(!(plan instanceof NoSnapshot), plan instanceof NoSnapshot ? plan.why : '')
  return plan
}

async function whyNot(run: RunCommand): Promise<string> {
  const plan = await lvmPlan(origin, 'vdisk-1', run)
  assert.ok(plan instanceof NoSnapshot)
  return plan.why
}

const made = ({ parts }: SnapshotPlan): string[] => parts.map(({ make }) => commandLine(make))

test('volumes of LVM: room for a snapshot, thin ones, and what can have none', async () => {
  const other = row({ lv_name: 'other', lv_kernel_minor: '4' })
  const plan = await lvm(report(other, row()))
  assert.deepEqual(made(plan), [
    'lvcreate --yes --snapshot --permission r --size 12582912b --addtag vdisk_snapshot --name vdisk-1 vg/root',
  ])
  assert.equal(plan.pathOf([]), '/dev/vg/vdisk-1')
  const sizeOf = async (values: Record<string, string>): Promise<string | undefined> =>
    / --size (\d+)b /.exec(made(await lvm(report(row(values))))[0] ?? '')?.[1]
  // A fifth of what is free stays free, but for the last extent.
  assert.equal(await sizeOf({ vg_free: '12582912' }), '8388608')
  assert.equal(await sizeOf({ vg_free: '4194304' }), '4194304')
  // Rounded up: all of the volume can change.
  assert.equal(await sizeOf({ lv_size: '12582913' }), '16777216')
  assert.match(await whyNot(report(row({ vg_free: '0' }))), /the volume group vg has no free space/)

  const thin = await lvm(report(row({ lv_attr: 'Vwi-aotz--', vg_free: '0' })))
  assert.deepEqual(made(thin), [
    'lvcreate --yes --snapshot --permission r --setactivationskip n --addtag vdisk_snapshot --name vdisk-1 vg/root',
  ])
  assert.equal(thin.health, undefined)

  assert.match(await whyNot(report(row({ lv_attr: 'swi-aos---' }))), /is a snapshot itself/)
  assert.match(await whyNot(report(other)), /it is no volume of LVM/)
  // What is not active has no device: -1:-1.
  assert.match(await whyNot(report(row({ lv_kernel_major: '-1', lv_kernel_minor: '-1' }))), /it is no volume of LVM/)
  assert.match(await whyNot(answering('', 5, 'Permission denied')), /lvs ended with 5: Permission denied/)
  assert.match(await whyNot(answering('', 127)), /lvs is not installed/)
  assert.match(await whyNot(answering('nonsense')), /cannot be understood/)
  // Numbers and names of others are no commands of ours.
  const strange: readonly (readonly [name: string, value: string])[] = [
    ['lv_size', '1e9'],
    ['vg_free', '-1'],
    ['vg_extent_size', '0'],
    ['lv_name', '-f'],
    ['vg_name', ''],
  ]
  for (const [name, value] of strange)
    assert.match(await whyNot(report(row({ [name]: value }))), /it is no volume of LVM/, name)
})

test('volumes of LVM: what the kernel freezes, when a snapshot is lost, and what others left', async () => {
  const leftover = row({ lv_name: 'vdisk-0', origin: 'root', lv_tags: 'a,vdisk_snapshot', lv_kernel_minor: '9' })
  const plan = await lvm(report(row(), leftover, { ...leftover, vg_name: 'vg2' }, { ...leftover, lv_tags: 'a' }))
  assert.deepEqual(plan.leftovers, ['vg/vdisk-0'])
  const mount = (device: string, filesystem: string): boolean =>
    plan.holds({ device, filesystem, point: '/mnt', readOnly: false })
  // fsfreeze(8): the device mapper freezes what is mounted from the volume itself; of btrfs it does not know.
  assert.deepEqual(
    [mount('/dev/dm-3', 'ext4'), mount('/dev/dm-3', 'btrfs'), mount('/dev/dm-7', 'ext4')],
    [true, false, false],
  )
  const whole = (attributes: string): boolean | undefined =>
    plan.health?.isWhole(JSON.stringify({ report: [{ lv: [{ lv_attr: attributes }] }] }))
  assert.deepEqual(['sri-a-s---', 'sri-I-s---', 'sri-S-s---', ''].map(whole), [true, false, false, false])
  assert.equal(plan.health?.isWhole('nonsense'), false)
})

test('volumes of ZFS: by the device of their name; nothing but a snapshot and its clone is destroyed', async () => {
  const numbers: Record<string, string> = { '/dev/zvol/tank/vm/disk one': '254:3', '/dev/zvol/tank/other': '254:9' }
  const run = answering('tank/other\ntank/vm/disk one')
  const plan = await zfsPlan(origin, 'vdisk-1', run, (path) => numbers[path])
  assert.ok(!(plan instanceof NoSnapshot))
  assert.deepEqual(made(plan), [
    "zfs snapshot 'tank/vm/disk one@vdisk-1'",
    "zfs clone -o readonly=on -o volmode=dev 'tank/vm/disk one@vdisk-1' tank/vdisk-1",
  ])
  assert.deepEqual(
    plan.parts.map(({ remove }) => remove('')),
    [
      ['zfs', 'destroy', 'tank/vm/disk one@vdisk-1'],
      ['zfs', 'destroy', 'tank/vdisk-1'],
    ],
  )
  assert.equal(plan.pathOf([]), '/dev/zvol/tank/vdisk-1')
  assert.equal(plan.holds({ device: origin.path, filesystem: 'ext4', point: '/mnt', readOnly: false }), false)
  for (const names of ['tank', '-r/x', 'tank/a@b', ''])
    assert.ok((await zfsPlan(origin, 'n', answering(names), () => origin.deviceNumber)) instanceof NoSnapshot, names)
})

test('volumes of Windows: a shadow copy is removed by the id that was printed', () => {
  const plan = vssPlan([{ kind: 'mount', point: "C:\\it's", filesystem: 'NTFS', readOnly: false }])
  assert.ok(!(plan instanceof NoSnapshot))
  const [part] = plan.parts
  assert.match(part!.make.at(-1) ?? '', /Volume = 'C:\\it''s\\'; Context = 'ClientAccessible'/)
  const id = '{3808876C-C176-4E48-B7AE-04046E6CC752}'
  const device = '\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy12'
  assert.equal(plan.pathOf([`${id} ${device}`]), device)
  assert.match(part!.remove(`${id} ${device}`)?.at(-1) ?? '', /-Filter 'ID=''\{3808876C-.*\}''' \| Remove-CimInstance$/)
  for (const printed of ['', 'nonsense', `${id} C:\\`, `'; x ${device}`]) {
    assert.equal(plan.pathOf([printed]), undefined)
    assert.equal(part!.remove(printed), undefined)
  }
  assert.ok(vssPlan([]) instanceof NoSnapshot)
})
