import type { Platform } from '../../platforms/index.js'
import { entryText, hasInitramfs, parameterRemedy, placeText, type BootEntry, type BootMenu } from './boot-menu.js'
import { deviceFault, skipUnseen, stableName } from './device-fault.js'
import { deviceSpec, isId } from './device-spec.js'
import type { Guest, TextFile } from './guest.js'
import { lastingName, provenVolume } from './proven-volume.js'
import type { DoctorFinding, DoctorReport, FileEdit } from './report.js'
import { idEdits, parameterEdits } from './text-edits.js'

/** The root that a kernel is given. */
export function checkRootParameter(
  guest: Guest,
  entry: BootEntry,
  menus: readonly BootMenu[],
  platform: Platform | undefined,
  report: DoctorReport,
): void {
  const where = entryText(entry)
  const root = parameter(entry.parameters, 'root')
  report.look(`root=${root ?? ''} of ${where}`)
  if (root === undefined) {
    report.skip(`root= of ${where}`, 'there is none: the initramfs decides', false)
    return
  }
  if (root.includes('$')) {
    report.skip(`root=${root} of ${where}`, 'it stands in a variable of the boot loader', true)
    return
  }
  skipUnseen(guest, root, deviceSpec(root), where, report)
  const texts = menus.flatMap((menu) => menu.texts)
  const bare = entry.kernel !== undefined && !hasInitramfs(entry)
  const { name, edits } = rootEdits(guest, texts, root, bare)
  const finding = rootFinding(guest, { entry, root, bare, name }, platform)
  if (finding !== undefined) report.add(finding, edits)
  checkResume(guest, { entry, where, texts }, platform, report)
}

/** A root= of the kernel. `bare`: there is no initramfs. `name`: how the root is named for sure. */
interface RootParameter {
  readonly entry: BootEntry
  readonly root: string
  readonly bare: boolean
  readonly name: string | undefined
}

function rootFinding(
  guest: Guest,
  { entry, root, bare, name }: RootParameter,
  platform: Platform | undefined,
): DoctorFinding | undefined {
  const where = entryText(entry)
  const spec = deviceSpec(root)
  const fault = deviceFault(guest, root, spec, platform)
  const wanted = name ?? stableName(guest.root.open) ?? fault?.wanted ?? placeText(guest.root.open)
  if (fault !== undefined)
    return {
      id: fault.kind === 'absent' ? 'L-ROOT-ABSENT' : 'L-ROOT-DEVICE',
      severity: fault.certain ? 'blocks' : 'risk',
      where,
      found: `root=${fault.found}`,
      wanted: `root=${wanted}`,
      why: fault.certain
        ? 'the kernel finds no root, and stops'
        : 'the name depends on the controller and the order of disks',
      remedy: { kind: 'inside-guest', text: parameterRemedy(entry, `Set root=${wanted}`) },
    }
  const named = guest.volumeOf(spec)
  if (isId(spec) && named !== undefined && named !== guest.root.open)
    return {
      id: 'L-ROOT-OTHER',
      severity: 'blocks',
      where,
      found: `root=${root}, which is ${placeText(named)}`,
      wanted: `root=${wanted}`,
      why: `the root lies in ${placeText(guest.root.open)}`,
      remedy: { kind: 'inside-guest', text: parameterRemedy(entry, 'Correct root=') },
    }
  if (!bare || !['uuid', 'label'].includes(spec.kind)) return undefined
  return {
    id: 'L-ROOT-NO-INITRD',
    severity: 'blocks',
    where,
    found: `root=${root} without an initramfs`,
    wanted: 'an initramfs, or root=PARTUUID=',
    why: 'the kernel alone knows partitions by PARTUUID and device names, not by what is in them',
    remedy: { kind: 'inside-guest', text: 'Make an initramfs, or write root=PARTUUID= of the partition.' },
  }
}

/** What exchanges root= in all texts, where it is certain which volume is the root. */
function rootEdits(guest: Guest, texts: readonly TextFile[], root: string, bare: boolean): RootEdits {
  const spec = deviceSpec(root)
  const proven = provenVolume(guest, spec, { point: '/', type: 'auto' })
  const name = proven === undefined ? undefined : lastingName(guest, proven, spec, bare)
  if (name === undefined) return { edits: [] }
  return { name, edits: texts.flatMap((text) => parameterEdits(text, `root=${root}`, `root=${name}`)) }
}

function checkResume(
  guest: Guest,
  { entry, where, texts }: { readonly entry: BootEntry; readonly where: string; readonly texts: readonly TextFile[] },
  platform: Platform | undefined,
  report: DoctorReport,
): void {
  const resume = parameter(entry.parameters, 'resume')
  if (resume === undefined) return
  const spec = deviceSpec(resume)
  const asleep = deviceFault(guest, resume, spec, platform)
  if (asleep === undefined) return
  const proven = provenVolume(guest, spec, { point: 'none', type: 'swap' })
  const name = proven === undefined ? undefined : lastingName(guest, proven, spec)
  const value = name !== undefined ? `resume=${name}` : asleep.kind === 'absent' ? 'noresume' : undefined
  report.add(
    {
      id: 'L-RESUME',
      severity: 'risk',
      where,
      found: `resume=${asleep.found}`,
      wanted: value ?? 'resume= of a swap area on this disk, or none',
      why: 'the initramfs waits for it before it goes on',
      remedy: { kind: 'inside-guest', text: 'Remove resume= (/etc/initramfs-tools/conf.d/resume, /etc/default/grub).' },
    },
    value === undefined ? [] : texts.flatMap((text) => parameterEdits(text, `resume=${resume}`, value)),
  )
}

const resumeSetting = '/etc/initramfs-tools/conf.d/resume'

/** What initramfs-tools puts into each initramfs; it is not changed there. */
function checkResumeSetting(guest: Guest, platform: Platform | undefined, report: DoctorReport): void {
  const [, resume] = /^\s*RESUME=["']?([^\s"']+)/m.exec(guest.text(resumeSetting) ?? '') ?? []
  if (resume === undefined || resume === 'none' || resume === 'auto') return
  report.look(resumeSetting)
  const fault = deviceFault(guest, resume, deviceSpec(resume), platform)
  if (fault === undefined) return
  report.add({
    id: 'L-RESUME',
    severity: 'risk',
    where: resumeSetting,
    found: `RESUME=${fault.found}`,
    wanted: 'RESUME= of a swap area on this disk, or none',
    why: 'the initramfs waits for it before it goes on',
    remedy: { kind: 'inside-guest', text: `echo RESUME=none > ${resumeSetting} && update-initramfs -u -k all` },
  })
}

/** The last one counts. */
export function parameter(parameters: readonly string[], name: string): string | undefined {
  return parameters
    .filter((word) => word.startsWith(`${name}=`))
    .at(-1)
    ?.slice(name.length + 1)
}

/** Files of settings; more are not looked at. */
const mostSettings = 64

/** What the next kernel update would write into the menu. */
export function checkBootDefaults(guest: Guest, platform: Platform | undefined, report: DoctorReport): void {
  checkResumeSetting(guest, platform, report)
  const further = guest.names('/etc/default/grub.d').filter((name) => name.endsWith('.cfg'))
  const paths = [
    '/etc/default/grub',
    ...further.slice(0, mostSettings).map((name) => `/etc/default/grub.d/${name}`),
    '/etc/kernel/cmdline',
    '/etc/default/extlinux',
  ]
  for (const path of paths) {
    const text = guest.text(path)
    if (text === undefined) continue
    report.look(path)
    for (const [, root = ''] of text.matchAll(/^[^#\n]*?\broot=([^\s"']+)/gm))
      checkDefault(
        guest,
        { path, root, edits: rootEdits(guest, [guest.textFile(path)], root, false) },
        platform,
        report,
      )
    // Images of Ubuntu for clouds: the kernel is tried without its initramfs first.
    for (const [, id = ''] of text.matchAll(/^\s*GRUB_FORCE_PARTUUID=["']?([^\s"']+)/gm))
      checkDefault(guest, { path, root: `PARTUUID=${id}`, edits: forcedEdits(guest, path, id) }, platform, report)
  }
}

interface RootEdits {
  readonly name?: string
  readonly edits: readonly FileEdit[]
}

function checkDefault(
  guest: Guest,
  { path, root, edits: { name, edits } }: { readonly path: string; readonly root: string; readonly edits: RootEdits },
  platform: Platform | undefined,
  report: DoctorReport,
): void {
  const fault = deviceFault(guest, root, deviceSpec(root), platform)
  if (fault === undefined) return
  report.add(
    {
      id: 'L-ROOT-DEFAULT',
      severity: 'risk',
      where: path,
      found: `root=${fault.found}`,
      wanted: `root=${name ?? stableName(guest.root.open) ?? fault.wanted}`,
      why: 'the next update of the kernel writes it into the boot menu',
      remedy: { kind: 'inside-guest', text: `Correct ${path}.` },
    },
    edits,
  )
}

/** What exchanges the id of a partition that stands alone. */
function forcedEdits(guest: Guest, path: string, id: string): RootEdits {
  const spec = { kind: 'partuuid', value: id } as const
  const proven = provenVolume(guest, spec, { point: '/', type: 'auto' })
  const name = proven === undefined ? undefined : lastingName(guest, proven, spec)
  const value = /^PARTUUID=(.*)$/.exec(name ?? '')?.[1]
  return value === undefined ? { edits: [] } : { name, edits: idEdits(guest.textFile(path), id, value) }
}
