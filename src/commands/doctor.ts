import { string } from '@oclif/core/args'
import { boolean, string as stringFlag } from '@oclif/core/flags'
import type { Interfaces } from '@oclif/core'
import { BaseCommand } from '../cli/base-command.js'
import { openFlags, openValues, progressFlag, writeFlags } from '../cli/flags.js'
import { copyFlags, formatFlags, targetValues } from '../cli/format-flags.js'
import { paragraphs } from '../cli/paragraphs.js'
import { exitCodes, printable } from '../errors.js'
import type { DoctorPageOptions, DoctorResult } from '../operations/doctor/doctor.js'

const { compress, flush, threads, sparse } = copyFlags

/** Where the mended disk is to be is asked only of who mends. */
const mending: NonNullable<Interfaces.FlagInput[string]['relationships']> = [
  { type: 'some', flags: ['mend', 'mend-initramfs'] },
]

type MendFlags = Interfaces.InferredFlags<typeof Doctor.flags>

export default class Doctor extends BaseCommand {
  static override summary = 'Say whether a disk will start, and what keeps it from that.'
  static override description = paragraphs(`
    Looks at the disk in IMAGE without starting it: boot loaders and firmware, the boot menu, fstab, the kernel and
    what its initramfs holds, network names, agents and cloud-init; with --for also the drivers, sizes and rules of
    that platform. Of Windows: drivers that start at boot, the boot store (BCD), drive letters, agents. Of other
    systems only how the disk starts is known. Nothing is written without --mend.

    Each finding says where it is, what was found and what is wanted, why, and what to do. The output also lists what
    was not looked into. The exit code is 0 when the disk is ready, and 1 when it is not, or when that is not known.

    --mend changes what needs no guess: device names in fstab and in the boot menu become ids, ids of a root that is
    gone become those of the root that is there; drivers of Windows that are installed start at boot, and its boot
    store and drive letters get the ids of the partition table. Bytes of files that exist are exchanged; nothing is
    allocated. With --output the mended disk is a new image; with --in-place IMAGE itself is changed; --dry-run lists
    every range of bytes, old and new. The disk is looked at again as it is then, and what is left is listed.
    Filesystems that were not left in order, and systems that sleep, are not changed.

    --mend-initramfs puts the drivers that the controllers of the platform need, and that the guest has in
    /lib/modules, behind the initramfs of the kernel that starts: an archive with the modules, what they need, and the
    lists that udev finds them in. The file grows, in free blocks of ext4 where its own have no room; nothing else
    changes. Alone, it leaves the configuration as it is; with --mend, both are mended. A later update of the
    initramfs in the guest makes the file anew: then add the modules there too.

    This is about the system on the disk. \`vdisk repair\` repairs the image file around the disk, and
    \`vdisk partition fix\` its partition table.
  `)
  static override examples = [
    { description: 'Will this disk start?', command: '<%= config.bin %> <%= command.id %> server.vhdx' },
    {
      description: 'Will it start on Proxmox?',
      command: '<%= config.bin %> <%= command.id %> server.vhdx --for proxmox',
    },
    {
      description: 'As a page, with the picture of the disk',
      command: '<%= config.bin %> <%= command.id %> server.vhdx --for azure-gen2 --html server.html',
    },
    {
      description: 'What would be changed to mend it?',
      command: '<%= config.bin %> <%= command.id %> server.vhdx --mend --dry-run',
    },
    {
      description: 'A mended copy',
      command: '<%= config.bin %> <%= command.id %> server.vhdx --mend --output mended.vhdx',
    },
    { description: 'For a program', command: '<%= config.bin %> <%= command.id %> server.qcow2 --for gce --json' },
    {
      description: 'Add the drivers that KVM needs to its initramfs, in a copy',
      command: '<%= config.bin %> <%= command.id %> server.vmdk --for proxmox --mend-initramfs --output mended.qcow2',
    },
  ]
  static override args = { image: string({ required: true, description: 'the image to look into' }) }
  static override usage = '<%= command.id %> IMAGE [FLAGS]'
  static override flags = {
    ...openFlags,
    for: stringFlag({ helpValue: 'PLATFORM', summary: 'where it is to start (see vdisk platforms)' }),
    html: stringFlag({ helpValue: 'FILE', summary: 'also write the page of inspect with the findings on it' }),
    mend: boolean({ exclusive: ['html'], summary: 'mend what can be mended here' }),
    'mend-initramfs': boolean({
      exclusive: ['html'],
      summary: "put drivers that the platform's controllers need behind the initramfs",
    }),
    output: stringFlag({
      helpValue: 'FILE',
      relationships: mending,
      exclusive: ['in-place'],
      summary: 'the new image, which is mended',
    }),
    'in-place': boolean({ relationships: mending, summary: 'change IMAGE itself' }),
    ...formatFlags,
    ...writeFlags,
    compress,
    flush,
    threads,
    sparse,
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Doctor)
    if (flags.mend || flags['mend-initramfs']) {
      await this.#mend(args.image, flags)
      return
    }
    const options = { ...(await this.context(flags)), ...openValues(flags), for: flags.for }
    const result =
      flags.html === undefined
        ? await (await import('../operations/doctor/doctor.js')).doctor(args.image, options)
        : await this.#page(args.image, flags.html, { ...options, force: flags.force })
    await this.show({ schema: 'vdisk.doctor', result, view: () => import('../cli/view/doctor.js') })
    if (flags.html !== undefined && !flags.json) this.print(`\nThe page is ${printable(flags.html)}`)
    if (result.verdict !== 'ready') this.exitWith(exitCodes.negative)
  }

  async #mend(image: string, flags: MendFlags): Promise<void> {
    const { mendGuest } = await import('../operations/doctor/mending/mend.js')
    const result = await mendGuest(image, {
      ...(await this.context(flags)),
      ...openValues(flags),
      ...targetValues(flags),
      for: flags.for,
      output: flags.output,
      inPlace: flags['in-place'],
      parts: [
        ...(flags.mend ? (['configuration'] as const) : []),
        ...(flags['mend-initramfs'] ? (['initramfs'] as const) : []),
      ],
    })
    await this.show({ schema: 'vdisk.doctor', result, view: () => import('../cli/view/doctor-mend.js') })
    if (result.verdict !== 'ready') this.exitWith(exitCodes.negative)
  }

  async #page(image: string, target: string, options: DoctorPageOptions): Promise<DoctorResult> {
    const [{ doctorToPage }, { doctorPage }] = await Promise.all([
      import('../operations/doctor/doctor.js'),
      import('../cli/view/doctor-page.js'),
    ])
    return await doctorToPage(image, target, doctorPage, options)
  }
}
