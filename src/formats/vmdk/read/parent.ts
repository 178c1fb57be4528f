import { printable, reference } from '../../../errors.js'
import type { DiskImage, Finding, ParentReference } from '../../driver.js'
import { cidText, noParent, type Descriptor } from '../format/descriptor.js'

/**
 * How a child names its parent, and how it knows it: undefined where the descriptor says that there is none. The
 * content id decides, not the name.
 * @param name the child's file, for messages. @param anyContent take the parent although its content id is another.
 */
export function parentReferenceOf(
  child: { readonly capacity: number },
  { parentCid, parentNames, values }: Descriptor,
  name: string,
  anyContent: boolean,
): ParentReference | undefined {
  if (parentCid === noParent || (parentCid === undefined && parentNames.length === 0)) return undefined
  const identity = parentCid === undefined ? undefined : cidText(parentCid)
  const shown = printable(values.get('parentfilenamehint') ?? '')
  return {
    paths: parentNames,
    format: 'vmdk',
    identity,
    verify(parent: DiskImage): void {
      if (identity === undefined || anyContent || parent.identity === identity) return
      throw reference(
        'E_PARENT_ID',
        `${name}: its parent "${shown}" had the content id ${identity} when the child was made; the file found has ` +
          `${parent.identity ?? 'none'}: it was written to since, or is another disk`,
        {
          hint:
            'Find the parent as it was; --search DIR and --parent-map OLD=NEW say where it may be. If you know that ' +
            'its content is right, use --from-option any-parent-cid=true.',
          details: { expected: identity, found: parent.identity },
        },
      )
    },
    *check(parent: DiskImage): Generator<Finding> {
      if (parent.capacity !== child.capacity)
        yield {
          severity: 'warning',
          code: 'W_PARENT_CAPACITY',
          structure: 'descriptor',
          message: `the disk has ${child.capacity} bytes, that of the parent ${parent.capacity}`,
        }
    },
  }
}
