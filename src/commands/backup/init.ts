import { string } from '@oclif/core/args'
import { boolean, option, string as text } from '@oclif/core/flags'
import { keepFlags, keepValues } from '../../cli/backup-flags.js'
import { BaseCommand } from '../../cli/base-command.js'
import { count, partNumbers } from '../../cli/flags.js'
import { paragraphs } from '../../cli/paragraphs.js'

export default class BackupInit extends BaseCommand {
  static override summary = 'Make a folder the backup set of a disk.'
  static override description = paragraphs(`
    Writes what the set is of, and how its images are made, to the file vdisk-set.json in the folder SET. Nothing is
    imaged yet, and the disk is only looked at: vdisk backup run makes the first point.

    A set that would lie on its own source disk is refused.
  `)
  static override examples = [
    {
      description: 'A set that keeps a week of days and half a year of months',
      command: '<%= config.bin %> <%= command.id %> /mnt/backup/disk /dev/sdb --keep-daily 7 --keep-monthly 6',
    },
    {
      description: 'A full image after every 14 incremental ones',
      command: '<%= config.bin %> <%= command.id %> /mnt/backup/disk /dev/sdb --to vhdx --full-every 14',
    },
  ]
  static override args = {
    set: string({ required: true, description: 'the folder of the set; it is made if it is not there' }),
    disk: string({ required: true, description: 'the disk or partition that is backed up: the source, only read' }),
  }
  static override usage = '<%= command.id %> SET DISK [FLAGS]'
  static override flags = {
    to: option({ options: ['qcow2', 'vhdx'] as const, summary: 'format of the images; qcow2 when left out' })(),
    compress: text({ helpValue: 'CODEC[:LEVEL]', summary: 'compress what is stored (qcow2): zstd:3, zlib' }),
    'used-only': boolean({
      default: true,
      allowNo: true,
      summary: 'leave out what the filesystems do not use; --no-used-only reads everything',
    }),
    'drop-swap': boolean({ summary: 'leave out the content of swap areas' }),
    parts: partNumbers({ summary: 'keep these partitions only; the others read as zero' }),
    snapshot: option({
      options: ['auto', 'lvm', 'zfs', 'vss'] as const,
      summary: 'each run reads a snapshot of the source; auto: where one can be made',
    })(),
    'full-every': count({ summary: 'a full image after so many incremental ones; only the first when left out' }),
    ...keepFlags,
    force: boolean({ char: 'f', summary: 'write new settings for a set that is there; its points stay' }),
    'allow-same-disk': boolean({
      summary: 'let the set lie on the disk that it is of',
      helpGroup: 'GUARD OVERRIDE',
    }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(BackupInit)
    const { initSet } = await import('../../operations/backup/init.js')
    const result = await initSet(args.set, args.disk, {
      registry: await this.registry(),
      format: flags.to,
      compress: flags.compress,
      usedOnly: flags['used-only'],
      dropSwap: flags['drop-swap'],
      parts: flags.parts,
      snapshot: flags.snapshot,
      fullEvery: flags['full-every'],
      ...keepValues(flags),
      force: flags.force,
      allowSameDisk: flags['allow-same-disk'],
    })
    await this.show({ schema: 'vdisk.backup-init', result, view: () => import('../../cli/view/backup-init.js') })
  }
}
