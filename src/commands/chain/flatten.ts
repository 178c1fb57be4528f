import { string } from '@oclif/core/args'
import { string as stringFlag } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { openFlags, openValues, progressFlag, writeFlags } from '../../cli/flags.js'
import { copyFlags, formatFlags, formatValues } from '../../cli/format-flags.js'
import { paragraphs } from '../../cli/paragraphs.js'
import type { FlattenResult } from '../../operations/chain/show.js'

const { compress, flush, verify, threads, sparse } = copyFlags

export default class ChainFlatten extends BaseCommand {
  static override summary = 'Write a chain of images as one.'
  static override description = paragraphs(`
    Reads IMAGE through all of its parents and writes the same disk as one new image TARGET, which needs none of
    them. No image of the chain is changed. The format of the target is that of its extension, and may be another
    one.

    With --until only the upper part of the chain is merged, down to and including that image. TARGET is then a
    child of the image below.
  `)
  static override examples = [
    {
      description: 'One image that needs no other',
      command: '<%= config.bin %> <%= command.id %> checkpoint.avhdx server.vhdx --verify',
    },
    {
      description: 'Join the two newest images, and keep the rest of the chain',
      command: '<%= config.bin %> <%= command.id %> newest.qcow2 joined.qcow2 --until 1',
    },
  ]
  static override args = {
    image: string({ required: true, description: 'the image to begin with' }),
    target: string({ required: true, description: 'the image to make' }),
  }
  static override usage = '<%= command.id %> IMAGE TARGET [FLAGS]'
  static override flags = {
    ...openFlags,
    until: stringFlag({
      helpValue: 'DEPTH|PATH|NAME',
      summary: 'the last image to take in, as vdisk chain show lists them',
    }),
    ...formatFlags,
    ...writeFlags,
    compress,
    flush,
    verify,
    threads,
    sparse,
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ChainFlatten)
    const [{ flattenChain }, registry] = await Promise.all([import('../../operations/chain/show.js'), this.registry()])
    const result = await flattenChain(args.image, args.target, {
      registry,
      ...openValues(flags),
      ...formatValues(flags),
      until: flags.until,
      force: flags.force,
      flush: flags.flush,
      verify: flags.verify,
      dryRun: flags['dry-run'],
      threads: flags.threads,
      sparse: flags.sparse,
      uuid: flags.uuid,
      time: this.buildTime,
      signal: this.signal,
      onProgress: this.progress(flags.progress).update,
    })
    if (flags.json) this.printJson({ schema: 'vdisk.chain.flatten', schemaVersion: 1, ...result })
    else await this.#show(result)
  }

  async #show(result: FlattenResult): Promise<void> {
    const { renderer, sizeText } = await import('../../cli/render.js')
    const render = await renderer(process.stdout)
    await this.tellNotes(result.notes)
    const { target, flattened, parent } = result
    this.print(render.heading(result.dryRun ? 'Would flatten' : 'Flattened'))
    this.print(
      render.facts([
        ...flattened.map((path, depth) => [depth === 0 ? 'images' : '', path] as const),
        ['target', `${target.path} (${target.format})`],
        ...(parent === undefined ? [] : [['its parent', parent] as const]),
        ['disk', sizeText(target.capacity)],
        ...(target.size === undefined ? [] : [['target file', sizeText(target.size)] as const]),
        ...(result.verified
          ? [['verified', 'every byte of the disk, read back from the target, equals the chain'] as const]
          : []),
      ]),
    )
    if (result.dryRun) this.print('Nothing was written (--dry-run).')
  }
}
