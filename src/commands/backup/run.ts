import { string } from '@oclif/core/args'
import { boolean, option, string as text } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { count, progressFlag, rateFlag } from '../../cli/flags.js'
import { paragraphs } from '../../cli/paragraphs.js'
import { exitCodes } from '../../errors.js'
import { isPartial } from '../../cli/partial-image.js'

export default class BackupRun extends BaseCommand {
  static override summary = 'Make the next point of a backup set.'
  static override description = paragraphs(`
    Reads the disk that SET is of into a new image in SET: a full image at first, later a child of the last point that
    holds what has changed. The disk is found by its serial number or ids, whatever it is called now, and is only
    read. No image that is there is changed.

    Another disk in place of the old one is refused, and so is a set that another run has, or that lies on its own
    source disk, or that has no room.
  `)
  static override examples = [
    { description: 'The next point', command: '<%= config.bin %> <%= command.id %> /mnt/backup/disk' },
    {
      description: 'What would be done?',
      command: '<%= config.bin %> <%= command.id %> /mnt/backup/disk --dry-run',
    },
  ]
  static override args = { set: string({ required: true, description: 'the folder of the set: the target' }) }
  static override usage = '<%= command.id %> SET [FLAGS]'
  static override flags = {
    disk: text({ helpValue: 'DISK', summary: 'the source, where it cannot be found by its serial number or ids' }),
    full: boolean({ summary: 'make a full image, whatever the settings say' }),
    freeze: boolean({ summary: 'freeze the mounted filesystems of the source while it is read' }),
    snapshot: option({
      options: ['auto', 'lvm', 'zfs', 'vss', 'none'] as const,
      summary: 'read a snapshot of the source (see vdisk image); what the set says when left out',
      exclusive: ['freeze'],
    })(),
    'if-dirty': option({
      options: ['refuse', 'whole', 'trust'] as const,
      summary: 'what is done with a filesystem that was not left in order; refuse when left out',
    })(),
    verify: boolean({ summary: 'read the new point back through its whole chain, and compare its digest' }),
    threads: count({ summary: 'worker threads for hashing and compression; 0: none' }),
    ...rateFlag,
    'dry-run': boolean({ summary: 'show what would be done, write nothing' }),
    'allow-other-disk': boolean({
      summary: 'go on although this is not the disk that the set is of',
      helpGroup: 'GUARD OVERRIDE',
    }),
    'allow-same-disk': boolean({
      summary: 'let the set lie on the disk that it is of',
      helpGroup: 'GUARD OVERRIDE',
    }),
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(BackupRun)
    const { runSet } = await import('../../operations/backup/run.js')
    const result = await runSet(args.set, {
      ...(await this.context(flags)),
      disk: flags.disk,
      full: flags.full,
      freeze: flags.freeze,
      snapshot: flags.snapshot,
      ifDirty: flags['if-dirty'],
      verify: flags.verify,
      threads: flags.threads,
      rate: flags.rate,
      dryRun: flags['dry-run'],
      allowOtherDisk: flags['allow-other-disk'],
      allowSameDisk: flags['allow-same-disk'],
      toolVersion: this.config.version,
    })
    if (isPartial(result.image)) this.exitWith(exitCodes.partial)
    await this.show({ schema: 'vdisk.backup-run', result, view: () => import('../../cli/view/backup-run.js') })
  }
}
