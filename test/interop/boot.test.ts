import { describe, test } from 'node:test'
import { convert } from '../../src/index.js'
import { bios, boots, emulator, haveUefi } from '../support/boots.js'
import { fixture } from '../support/fixtures.js'
import { subtypes } from '../support/subtypes.js'
import { have, scratch } from '../support/tools.js'

describe('a converted disk boots', () => {
  for (const subtype of subtypes) {
    test(subtype.name, async (t) => {
      if (!have(t, emulator)) return
      const uefi = haveUefi(t)
      if (uefi === undefined) return
      const at = scratch(t)
      const image = at(`disk.${subtype.extension}`)
      await convert(fixture('partitioned-disk.vhdx'), image, { ...subtype.options })
      await boots(bios, image, subtype.qemuFormat, at)
      await boots(uefi, image, subtype.qemuFormat, at)
    })
  }
})
