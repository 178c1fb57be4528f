import { string } from '@oclif/core/args'
import { BaseCommand } from '../cli/base-command.js'
import { checkFlags, openFlags, openValues, progressFlag } from '../cli/flags.js'
import { paragraphs } from '../cli/paragraphs.js'
import { exitCodes } from '../errors.js'

export default class Check extends BaseCommand {
  static override summary = 'Look for damage in an image and its parents.'
  static override description = paragraphs(`
    Checks every structure of IMAGE and of its parents: checksums and copies, tables, overlaps, unused space, and
    whether the images of the chain belong together. Nothing is written.

    An error means that content is lost, ambiguous, or at risk when the image is written. A leak is space that
    nothing uses. A warning is unusual, but harmless to the content. The exit code is 0 when nothing was found, 1
    when something was, 4 when the image is too damaged to be opened, 5 when its format cannot be checked, 6 when a
    parent is missing or the wrong one.
  `)
  static override examples = [
    { description: 'Is this image sound?', command: '<%= config.bin %> <%= command.id %> server.vhdx' },
    {
      description: 'Also read everything that it stores, and decode what is compressed',
      command: '<%= config.bin %> <%= command.id %> server.qcow2 --deep',
    },
    { description: 'For a program', command: '<%= config.bin %> <%= command.id %> server.vhd --json' },
  ]
  static override args = { image: string({ required: true, description: 'the image to check' }) }
  static override usage = '<%= command.id %> IMAGE [FLAGS]'
  static override flags = { ...openFlags, ...checkFlags, ...progressFlag }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Check)
    const { check } = await import('../operations/check/check.js')
    const result = await check(args.image, {
      ...(await this.context(flags)),
      ...openValues(flags),
      deep: flags.deep,
      limit: flags.limit ?? (flags.json ? undefined : 20),
    })
    await this.show({ schema: 'vdisk.check', result, view: () => import('../cli/view/check.js') })
    const { counts, layers, missing, unreadable } = result
    if (counts.error + counts.leak + counts.warning > 0) this.exitWith(exitCodes.negative)
    for (const problem of [missing, unreadable]) if (problem !== undefined) this.exitWith(exitCodes[problem.kind])
    if (layers.some(({ checked }) => !checked)) this.exitWith(exitCodes.unsupported)
  }
}
