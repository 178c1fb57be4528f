import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { deviceFlags, deviceValues, progressFlag, usedOnlyFlags, usedOnlyValues } from '../cli/flags.js'
import type { CloneResult } from '../operations/device/clone.js'

export default class Clone extends BaseCommand {
  static override summary = 'Copy a physical disk to another one.'
  static override description = `Copies the physical disk SOURCE to the physical disk TARGET, or a partition to a partition; no file lies between. Everything on the target is lost. The source is only read, and taken for this alone: one that is in use is refused, unless --live says that a copy of a changing disk will do.

The target is shown, and its name must be typed; without a terminal both --yes and --confirm with its serial or size are needed. Guards refuse a target that the running system needs, that is mounted, held by LVM, LUKS, RAID or a loop device, in use as swap space, read-only, too small, with other sectors, or that holds the source. Each has one flag of its own that lets it pass, and no other's.

Both ends of the target are cleared first and written last, so that an interrupted run leaves nothing that can be taken for a disk. Everything is written past the page cache, and read back and compared. The backup of a GPT is put at the real end of the target. A copy that is used beside its source wants --new-ids.`
  static override examples = [
    {
      description: 'Copy a disk to a larger one, and use all of it',
      command: '<%= config.bin %> <%= command.id %> /dev/sda /dev/sdb --grow',
    },
    {
      description: 'See what would be done',
      command: '<%= config.bin %> <%= command.id %> /dev/sda /dev/sdb --dry-run',
    },
    {
      description: 'Only what the filesystems use',
      command: '<%= config.bin %> <%= command.id %> /dev/sda /dev/sdb --used-only',
    },
    {
      description: 'From a program',
      command: '<%= config.bin %> <%= command.id %> /dev/sda /dev/sdb --yes --confirm S6PXNS0W123456',
    },
  ]
  static override args = {
    source: string({ required: true, description: 'the disk or partition to read' }),
    target: string({ required: true, description: 'the disk or partition to overwrite' }),
  }
  static override usage = '<%= command.id %> SOURCE TARGET [FLAGS]'
  static override flags = {
    live: boolean({
      summary: 'read a source that is in use: the copy is crash-consistent at best',
      helpGroup: 'GUARD OVERRIDE',
    }),
    ...usedOnlyFlags,
    ...deviceFlags,
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Clone)
    const { clone } = await import('../operations/device/clone.js')
    const result = await clone(args.source, args.target, {
      ...deviceValues(flags),
      live: flags.live,
      usedOnly: usedOnlyValues(flags),
      ask: this.asking(`Copy ${args.source} to ${args.target}`),
      signal: this.signal,
      onProgress: this.progress(flags.progress).update,
    })
    if (flags.json) this.printJson({ schema: 'vdisk.clone', schemaVersion: 1, ...result })
    else await this.#show(result)
  }

  async #show(result: CloneResult): Promise<void> {
    const [{ renderer, shortSize }, { deviceTitle, idsText, outcomeFacts, planText }] = await Promise.all([
      import('../cli/render.js'),
      import('../cli/device-text.js'),
    ])
    await this.tellNotes(result.notes)
    const render = await renderer(process.stdout)
    const { source, target, dryRun, volumes } = result
    this.print(render.heading(dryRun ? 'Would clone' : 'Cloned'))
    this.print(
      render.facts([
        ['source', `${deviceTitle(source)}${result.live ? ', while it was in use' : ''}`],
        ['target', deviceTitle(target)],
        ...(dryRun ? [] : outcomeFacts(result)),
        ...(volumes === undefined
          ? []
          : [
              [
                'not in use',
                `${shortSize(volumes.reduce((sum, { length, read }) => sum + length - read, 0))}, made zero`,
              ] as const,
            ]),
      ]),
    )
    if (result.ids.length > 0) this.print(await idsText(render, result))
    if (dryRun) this.print(planText(render, result))
  }
}
