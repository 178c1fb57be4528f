import { string } from '@oclif/core/args'
import { boolean, string as stringFlag } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { allowOtherChildren, openFlags, openValues, progressFlag } from '../cli/flags.js'
import { paragraphs } from '../cli/paragraphs.js'
import { printable } from '../errors.js'
import type { InspectPageOptions } from '../operations/inspect/inspect-page.js'
import type { InspectResult } from '../operations/inspect/inspect.js'

export default class Inspect extends BaseCommand {
  static override summary = 'Show what is on a disk: partitions, filesystems, and what is wrong with them.'
  static override description = paragraphs(`
    Reads the partition table of the disk in IMAGE (GPT, MBR with logical partitions, Apple partition map, BSD
    label) and looks at what each partition holds. Nothing is mounted, and nothing is written.

    The output shows the disk to scale, the ranges that belong to no partition, damage with the command that repairs
    it, and which firmware can boot the disk, and why. The exit code is 0 whatever is found.
  `)
  static override examples = [
    { description: 'What is on this disk?', command: '<%= config.bin %> <%= command.id %> server.vhdx' },
    { description: 'What is in its second partition?', command: '<%= config.bin %> <%= command.id %> server.vhdx@2' },
    {
      description: 'As a page with a picture of the disk',
      command: '<%= config.bin %> <%= command.id %> server.vhdx --html server.html',
    },
    { description: 'For a program', command: '<%= config.bin %> <%= command.id %> server.qcow2 --json' },
  ]
  static override args = { image: string({ required: true, description: 'the image to look into' }) }
  static override usage = '<%= command.id %> IMAGE [FLAGS]'
  static override flags = {
    ...openFlags,
    'allow-other-children': allowOtherChildren(),
    ...progressFlag,
    html: stringFlag({
      helpValue: 'FILE',
      summary: 'also write a page that stands alone: the disk to scale, what is stored and used, and all details',
    }),
    force: boolean({ char: 'f', dependsOn: ['html'], summary: 'replace the page if it exists' }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Inspect)
    const options = { ...(await this.context(flags)), ...openValues(flags) }
    const result =
      flags.html === undefined
        ? await (await import('../operations/inspect/inspect.js')).inspect(args.image, options)
        : await this.#page(args.image, flags.html, { ...options, force: flags.force })
    await this.show({ schema: 'vdisk.inspect', result, view: () => import('../cli/view/inspect.js') })
    if (flags.html !== undefined && !flags.json) this.print(`\nThe page is ${printable(flags.html)}`)
  }

  async #page(image: string, target: string, options: InspectPageOptions): Promise<InspectResult> {
    const [{ inspectToPage }, { inspectPage }] = await Promise.all([
      import('../operations/inspect/inspect-page.js'),
      import('../cli/view/inspect-page.js'),
    ])
    return inspectToPage(image, target, inspectPage, options)
  }
}
