import { string } from '@oclif/core/args'
import { BaseCommand } from '../cli/base-command.js'
import { count, deviceFlags, deviceValues, openFlags, openValues, progressFlag } from '../cli/flags.js'
import type { RestoreResult } from '../operations/device/restore.js'

export default class Restore extends BaseCommand {
  static override summary = 'Restore an image to a physical disk or partition.'
  static override description = `Writes the disk that IMAGE holds onto the physical disk DEVICE, or a partition of it (IMAGE@2, or --partition 2) onto the partition DEVICE. Everything on the target is lost. The image may have any format, and is read through its whole chain.

The target is shown, and its name must be typed; without a terminal both --yes and --confirm with its serial or size are needed. Guards refuse a disk that the running system needs, that is mounted, held by LVM, LUKS, RAID or a loop device, in use as swap space, read-only, too small, with other sectors, or that holds the image itself. Each has one flag of its own that lets it pass, and no other's.

Both ends of the target are cleared first and written last, so that an interrupted run leaves nothing that can be taken for a disk. Everything is written past the page cache, and read back and compared. The backup of a GPT is put at the real end of the disk.`
  static override examples = [
    {
      description: 'Restore a Hyper-V disk to a USB disk',
      command: '<%= config.bin %> <%= command.id %> server.vhdx /dev/sdb',
    },
    {
      description: 'See what would be done',
      command: '<%= config.bin %> <%= command.id %> server.vhdx /dev/sdb --dry-run',
    },
    {
      description: 'From a program',
      command: '<%= config.bin %> <%= command.id %> server.vhdx /dev/sdb --yes --confirm S6PXNS0W123456',
    },
    {
      description: 'To a larger disk, using all of it',
      command: '<%= config.bin %> <%= command.id %> server.vhdx /dev/sdb --grow',
    },
    {
      description: 'One partition into a partition',
      command: '<%= config.bin %> <%= command.id %> server.vhdx@3 /dev/sdb3',
    },
  ]
  static override args = {
    image: string({ required: true, description: 'the image to restore, or a partition of it' }),
    device: string({ required: true, description: 'the disk or partition to overwrite' }),
  }
  static override usage = '<%= command.id %> IMAGE DEVICE [FLAGS]'
  static override flags = {
    partition: count({ summary: 'restore this partition of the image into one partition; the same as IMAGE@N' }),
    ...openFlags,
    ...deviceFlags,
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Restore)
    const [{ restore }, registry] = await Promise.all([import('../operations/device/restore.js'), this.registry()])
    const result = await restore(args.image, args.device, {
      registry,
      ...openValues(flags),
      ...deviceValues(flags),
      partition: flags.partition,
      ask: this.asking(`Restore ${args.image} to ${args.device}`),
      signal: this.signal,
      onProgress: this.progress(flags.progress).update,
    })
    if (flags.json) this.printJson({ schema: 'vdisk.restore', schemaVersion: 1, ...result })
    else await this.#show(result)
  }

  async #show(result: RestoreResult): Promise<void> {
    const [{ renderer, sourceText }, { deviceTitle, idsText, outcomeFacts, planText }] = await Promise.all([
      import('../cli/render.js'),
      import('../cli/device-text.js'),
    ])
    await this.tellNotes(result.notes)
    const render = await renderer(process.stdout)
    const { source, target, dryRun, origin } = result
    this.print(render.heading(dryRun ? 'Would restore' : 'Restored'))
    this.print(
      render.facts([
        ['source image', sourceText(source)],
        ['target', deviceTitle(target)],
        ...(origin === undefined ? [] : [['origin', origin.message] as const]),
        ...(dryRun ? [] : outcomeFacts(result)),
      ]),
    )
    if (result.ids.length > 0) this.print(await idsText(render, result))
    if (dryRun) this.print(planText(render, result))
  }
}
