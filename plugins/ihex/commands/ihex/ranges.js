import fs from 'node:fs'
import { Args, Command } from '@oclif/core'
import { dataRecords, longestFile, rangesOf } from '../../records.js'

export default class IhexRanges extends Command {
  static summary = 'Show which addresses an Intel HEX file fills.'
  static examples = ['<%= config.bin %> <%= command.id %> firmware.hex']
  static enableJsonFlag = true
  static args = { file: Args.string({ required: true, description: 'the file' }) }

  async run() {
    const { args } = await this.parse(IhexRanges)
    const fail = (what, position) => this.error(`${args.file}: ${what} (byte ${position})`, { exit: 4 })
    if (fs.statSync(args.file).size > longestFile) this.error(`${args.file} is too large`, { exit: 5 })
    const ranges = rangesOf(dataRecords(fs.readFileSync(args.file, 'latin1'), fail))
    const hex = (value) => `0x${value.toString(16).padStart(8, '0')}`
    for (const { start, end } of ranges) this.log(`${hex(start)} to ${hex(end - 1)}  ${end - start} bytes`)
    return { ranges }
  }
}
