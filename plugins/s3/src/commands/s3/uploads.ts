import { createRequire } from 'node:module'
import path from 'node:path'
import { Args, Command, Flags } from '@oclif/core'
import type * as Vdisk from 'vdisk'
import { objectOf } from '../../location.js'
import { S3Requests } from '../../requests.js'
import { usedSettings } from '../../schemes.js'

export default class S3Uploads extends Command {
  static override summary = 'List uploads to an object that were begun and never completed, or remove them.'
  static override description =
    'Their parts are stored, and paid for, until they are removed. One that is under way is listed too: remove none ' +
    'that somebody works on.'
  static override examples = [
    '<%= config.bin %> s3 uploads s3://bucket/disk.qcow2',
    '<%= config.bin %> s3 uploads s3://bucket/disk.qcow2 --abort',
  ]
  static override args = { address: Args.string({ required: true, description: 'the object: s3://bucket/key' }) }
  static override flags = {
    abort: Flags.boolean({ summary: 'remove them, with what was sent' }),
    json: Flags.boolean({ summary: 'print one JSON document' }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(S3Uploads)
    const library = createRequire(path.join(this.config.root, 'package.json'))('vdisk') as typeof Vdisk
    const object = objectOf(args.address, usedSettings(library), library)
    using requests = await S3Requests.open(object, library)
    const uploads = await requests.uploads()
    if (flags.abort) for (const { id } of uploads) await requests.abort(id)
    if (flags.json) {
      this.log(JSON.stringify({ schema: 'vdisk.s3-uploads', schemaVersion: 1, uploads, removed: flags.abort }))
      return
    }
    for (const { id, begun } of uploads) this.log(`${begun}  ${id}${flags.abort ? '  removed' : ''}`)
    if (uploads.length === 0) this.log('There are no unfinished uploads of this object.')
  }
}
