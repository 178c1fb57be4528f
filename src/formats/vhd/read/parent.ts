import { printable, reference } from '../../../errors.js'
import type { DiskImage, Finding, ParentReference } from '../../driver.js'
import { timeText, vhdTime } from '../format/layout.js'
import { parentPaths, type ParentLocator } from '../format/parent-locators.js'
import type { DynamicHeaderValues } from '../format/structs.js'

/** Filesystems that keep times in steps of two seconds move them by as much. */
const timeStep = 2

/** How a differencing disk names its parent, and how it knows it. @param name the child's file, for messages. */
export function parentReferenceOf(
  child: { readonly capacity: number },
  header: DynamicHeaderValues,
  locators: readonly ParentLocator[],
  name: string,
): ParentReference {
  const identity = header.parentUniqueId
  return {
    paths: parentPaths(locators, header.parentUnicodeName),
    format: 'vhd',
    identity,
    verify(parent: DiskImage): void {
      const found = parent.identity
      if (parent.format !== 'vhd' || found !== identity) {
        throw reference(
          'E_PARENT_ID',
          `${name}: its parent "${printable(header.parentUnicodeName)}" is a VHD with the unique id ` +
            (`${identity}, the file found is ` +
              (parent.format === 'vhd' ? `one with ${found ?? 'none'}` : `a ${parent.format} image`)),
          {
            hint:
              'Find the parent as it was when the child was made; --search DIR and --parent-map OLD=NEW say ' +
              'where it may be.',
            details: { expected: identity, found },
          },
        )
      }
    },
    *check(parent: DiskImage, time: number | undefined): Generator<Finding> {
      // A disk that was made larger between two backups: what lies past the parent's end is the child's alone.
      if (parent.capacity !== child.capacity)
        yield {
          severity: 'warning',
          code: 'W_PARENT_CAPACITY',
          structure: 'footer',
          message:
            `the disk has ${child.capacity} bytes, that of the parent ${parent.capacity}: Windows may ` +
            'refuse the chain',
        }
      const recorded = header.parentTimeStamp
      if (time === undefined || recorded === 0 || Math.abs(vhdTime(time) - recorded) <= timeStep) return
      yield {
        severity: 'warning',
        code: 'W_PARENT_TIME',
        structure: 'dynamic header',
        message:
          `the parent was last written at ${timeText(vhdTime(time))}, its time recorded here is ` +
          (`${timeText(recorded)}: it may have been changed after this disk was made over it, or only been ` +
            'copied without its time. Windows may refuse the chain'),
      }
    },
  }
}
