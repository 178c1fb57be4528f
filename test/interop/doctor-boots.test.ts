/**
 * QEMU agrees with doctor about real systems: what is ready or mended reaches its root, what is blocked does not.
 * VDISK_GUESTS=all, or parts of names of cases, apart by `|`; VDISK_GUEST_ROOT names the Debian they are made of, which
 * debootstrap makes when it is not there (docs/doctor.md). A start takes a minute without hardware virtualisation.
 */
import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test, type TestContext } from 'node:test'
import { doctor } from '../../src/operations/doctor/doctor.js'
import { mendGuest } from '../../src/operations/doctor/mending/mend.js'
import { bootDisk, ids, moduleArchive } from '../support/boot-guest.js'
import { bios, emulator, haveUefi } from '../support/boots.js'
import { guestCases, type GuestCase } from '../support/guest-cases.js'
import { GuestRoot, makings } from '../support/guest-root.js'
import { reachesRoot } from '../support/guest-start.js'
import { loopsMissing } from '../support/loop.js'
import { have, run, scratch } from '../support/tools.js'

const chosen = process.env['VDISK_GUESTS']
/** Starts at a time. */
const machines = 2

/** The table for docs/doctor.md. */
const rows: string[] = []

function kindText({ guest }: GuestCase): string {
  const place = guest.logical === true ? ' on LVM' : ''
  return `${guest.filesystem}${place}, ${guest.making.maker}`
}

async function proves(t: TestContext, debian: GuestRoot, one: GuestCase): Promise<void> {
  const missing = loopsMissing()
  const uefi = haveUefi(t)
  if (missing !== undefined || uefi === undefined || !have(t, emulator)) return
  const at = scratch(t)
  const disk = bootDisk(t, at, debian, one.guest)
  if (one.newIds === true) run('sgdisk', '-G', disk)
  const { verdict, findings, notLooked } = await doctor(disk, { for: one.platform })
  const found = findings.filter(({ severity }) => severity !== 'note').map(({ id, severity }) => `${severity} ${id}`)
  assert.deepEqual(found, one.finds ?? [], JSON.stringify(findings))
  assert.equal(verdict, one.verdict, JSON.stringify({ findings, notLooked }))
  const starts = async (image: string, said: string, expected: boolean): Promise<void> => {
    for (const [kind, controller] of one.starts) {
      const { reached, shown } = await reachesRoot(at, image, kind === 'bios' ? bios : uefi, controller, one.goesOn)
      const agrees = reached === expected
      const did = reached ? 'reached' : `not reached: ${lastReason(shown)}`
      const cells = [one.name, kindText(one), `${kind}, ${controller}`, said, did, agrees ? 'yes' : 'NO']
      const row = `| ${cells.join(' | ')} |`
      rows.push(row)
      t.diagnostic(row)
      assert.ok(agrees, `${row}\n${shown}`)
      if (one.unseen === true) assert.match(shown, /No mapping found|No bootable/)
    }
  }
  await starts(disk, [verdict, ...found].join(', '), verdict === 'ready' && one.unseen !== true)
  if (verdict !== 'mendable') return
  const mended = at('mended.raw')
  const parts = ['configuration', 'initramfs'] as const
  assert.equal((await mendGuest(disk, { for: one.platform, output: mended, parts })).verdict, 'ready')
  await starts(mended, 'mended', true)
}

/** What the serial port showed when it came to its end. */
function lastReason(shown: string): string {
  const lines = shown.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, '').split(/[\r\n]+/)
  const said =
    /ALERT!.*|Kernel panic.*|error: .*|You are in emergency mode|No bootable.*|.*Could not boot.*|Boot failed.*|Shell>/
  const reason =
    lines.flatMap((line) => said.exec(line)?.[0] ?? []).at(-1) ??
    lines.filter((line) => line.trim() !== '').at(-1) ??
    ''
  return reason.replaceAll('|', ' ').trim().slice(0, 90)
}

/** Long proofs, run by hand: they are tests only where they are asked for. */
if (chosen !== undefined) {
  const titles = ['defect', 'guest', 'firmware, controller', 'doctor', 'QEMU', 'agree']
  const head = [`| ${titles.join(' | ')} |`, `| ${titles.map(() => '---').join(' | ')} |`]
  after(() => process.stderr.write(`${['', ...head, ...rows].join('\n')}\n`))
  const debian = new GuestRoot(process.env['VDISK_GUEST_ROOT'] ?? join(tmpdir(), 'vdisk-guest-root'))
  const appended: GuestCase = {
    name: 'modules behind the initramfs, in an archive of their own',
    guest: {
      filesystem: 'ext4',
      making: makings.noVirtio,
      root: `UUID=${ids.root}`,
      appended: moduleArchive(debian, ['virtio_blk', 'virtio_pci']),
    },
    platform: 'qemu',
    verdict: 'ready',
    starts: [['bios', 'virtio']],
  }
  const words = chosen === 'all' ? [''] : chosen.split('|')
  const wanted = [...guestCases, appended].filter((one) =>
    words.some((word) => `${one.name}; ${kindText(one)}`.includes(word)),
  )
  // One at a time, before the cases run beside each other.
  for (const { guest } of wanted) debian.initramfs(guest.making)
  suite('doctor and QEMU', { concurrency: machines }, () => {
    for (const one of wanted) test(`${one.name}; ${kindText(one)}`, (t) => proves(t, debian, one))
  })
}
