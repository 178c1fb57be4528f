import { string } from '@oclif/core/args'
import { boolean, option, string as text } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import {
  allowInUse,
  pacingFlags,
  partNumbers,
  progressFlag,
  usedOnlyFlags,
  usedOnlyValues,
  writeFlags,
} from '../cli/flags.js'
import { copyFlags, formatFlags, platformFlag, targetValues } from '../cli/format-flags.js'
import { paragraphs } from '../cli/paragraphs.js'
import { exitCodes } from '../errors.js'
import { isPartial } from '../cli/partial-image.js'

/** What the image is to be: it says nothing of one that is there. */
const ofNewImages = [
  ...Object.keys({ ...formatFlags, ...platformFlag }),
  'compress',
  'uuid',
  'used-only',
  'parts',
  'freeze',
  'snapshot',
  'sparse',
]

export default class ImageDisk extends BaseCommand {
  static override summary = 'Image a disk or a partition into a file, or to an address.'
  static override description = paragraphs(`
    Reads the disk or partition SOURCE, or the disk of a virtual machine (a qcow2 image, or an NBD export: nbd://…),
    and writes the same bytes as a new image TARGET, of any format. The source is only read. TARGET appears under its
    name when it is complete; a record TARGET.vdisk.json beside it says which disk it is the image of.

    Ranges that cannot be read are tried sector by sector; what remains unreadable is zero in the image and listed
    in TARGET.map (exit code 9). --resume with an image that has such a map reads those ranges again; otherwise it
    keeps a journal, and goes on with an image that is not finished.

    With --since the image is a child of an earlier image of the same disk, and stores only what has changed. All that
    is in use is read, and compared with the digests in EARLIER.blocks, or with the earlier image where they are
    missing. Reading the image needs the earlier one. --changed reads only what a dirty bitmap of QEMU lists.

    TARGET may be an address (ssh://, oci://, an address of Azure with a SAS, and what plug-ins know: s3://): the image
    is sent there while it is read, and appears when it is complete, with its record. --since, --changed and --resume
    are for files.

    An image on the disk that is imaged is refused. A warning is printed for a source that is mounted for writing:
    without --snapshot or --freeze its image is at best what a power cut would have left. --snapshot reads a snapshot
    of a volume of LVM or ZFS, which is made before and removed afterwards, also when the run fails.
  `)
  static override examples = [
    { description: 'Image a disk', command: '<%= config.bin %> <%= command.id %> /dev/sdb backup.vhdx' },
    {
      description: 'Only what its filesystems use, compressed',
      command: '<%= config.bin %> <%= command.id %> /dev/sdb backup.qcow2 --used-only --compress zstd:3',
    },
    { description: 'One partition', command: '<%= config.bin %> <%= command.id %> /dev/sdb@2 root.vhdx' },
    {
      description: 'To another computer, and read back',
      command: '<%= config.bin %> <%= command.id %> /dev/sdb ssh://store.example/srv/server.qcow2 --used-only --verify',
    },
    {
      description: 'What has changed since, as a child of the last image',
      command: '<%= config.bin %> <%= command.id %> /dev/sdb tuesday.qcow2 --since monday.qcow2 --used-only',
    },
    {
      description: 'What a dirty bitmap of QEMU lists, as a child of the last image',
      command:
        '<%= config.bin %> <%= command.id %> nbd://localhost/vda tuesday.qcow2 --since monday.qcow2 --changed backup',
    },
    {
      description: 'What would be done?',
      command: '<%= config.bin %> <%= command.id %> /dev/sdb backup.vhdx --dry-run',
    },
    {
      description: 'Read the bad sectors again',
      command: '<%= config.bin %> <%= command.id %> /dev/sdb backup.vhdx --resume',
    },
  ]
  static override args = {
    source: string({
      required: true,
      description:
        'the disk or partition to read: /dev/sdb, /dev/sdb1, /dev/sdb@1 (see vdisk disks); or the disk of a virtual ' +
        'machine: vm.qcow2, nbd://host/export',
    }),
    target: string({ required: true, description: 'the image to make: a file, or an address' }),
  }
  static override usage = '<%= command.id %> SOURCE TARGET [FLAGS]'
  static override flags = {
    ...formatFlags,
    ...platformFlag,
    ...writeFlags,
    compress: copyFlags.compress,
    verify: boolean({ summary: 'read the image back, and compare its digest with what was read from the disk' }),
    flush: copyFlags.flush,
    threads: copyFlags.threads,
    sparse: copyFlags.sparse,
    ...usedOnlyFlags,
    parts: partNumbers({ summary: 'keep these partitions only; the others read as zero' }),
    since: text({
      helpValue: 'IMAGE',
      summary: 'an earlier image of this disk: store what has changed since, as a child of it',
      exclusive: ['for', 'resume'],
    }),
    changed: text({
      helpValue: 'BITMAP',
      dependsOn: ['since'],
      exclusive: ['used-only', 'parts'],
      summary:
        'read only what this dirty bitmap of the disk of a virtual machine lists; the rest is as in the image of ' +
        '--since',
    }),
    'allow-unproven-bitmap': boolean({
      summary: 'go on although nothing shows that the bitmap is older than the image of --since',
      dependsOn: ['changed'],
    }),
    freeze: boolean({ summary: 'freeze the mounted filesystems of the source while it is read' }),
    snapshot: option({
      options: ['auto', 'lvm', 'zfs', 'vss'] as const,
      summary: 'read a snapshot of the source, and remove it afterwards; auto: where one can be made',
      exclusive: ['freeze', 'resume'],
    })(),
    ...pacingFlags,
    'allow-same-disk': boolean({ summary: 'let the image lie on the disk that it is made of' }),
    'allow-other-disk': boolean({
      summary: 'go on although this is not the disk that the image of --since was made of',
      dependsOn: ['since'],
    }),
    'allow-in-use': allowInUse(),
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ImageDisk)
    const common = {
      ...(await this.context(flags)),
      allowSameDisk: flags['allow-same-disk'],
      allowInUse: flags['allow-in-use'],
      allowOtherChildren: flags['allow-other-children'],
      verify: flags.verify,
      dryRun: flags['dry-run'],
      toolVersion: this.config.version,
    }
    const result =
      flags.resume && (await this.#readsBadRanges(args.target))
        ? await (await import('../operations/imaging/resume.js')).resumeImage(args.source, args.target, common)
        : await (
            await import('../operations/imaging/image.js')
          ).imageDisk(args.source, args.target, {
            ...targetValues(flags),
            ...common,
            usedOnly: usedOnlyValues(flags),
            parts: flags.parts,
            freeze: flags.freeze,
            snapshot: flags.snapshot,
            since: flags.since,
            changed: flags.changed,
            allowUnprovenBitmap: flags['allow-unproven-bitmap'],
            allowOtherDisk: flags['allow-other-disk'],
          })
    if (isPartial(result)) this.exitWith(exitCodes.partial)
    await this.show({ schema: 'vdisk.image', result, view: () => import('../cli/view/image.js') })
  }

  async #readsBadRanges(target: string): Promise<boolean> {
    const { whatToResume } = await import('../operations/imaging/resume-kind.js')
    const given = ofNewImages.filter((name) => this.hasFlag(name))
    return whatToResume(target, given) === 'bad-ranges'
  }
}
