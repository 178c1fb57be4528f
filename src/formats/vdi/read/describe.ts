import { nilUuid } from '../../../binary/struct.js'
import type { Section } from '../../../block/types.js'
import { printable } from '../../../errors.js'
import { versionText } from '../format/entries.js'
import { commentText, type Header } from '../format/header.js'

/** What `info` says of a VDI. */
export function describeImage(header: Header): Section[] {
  const { values } = header
  const comment = commentText(values)
  const sections: Section[] = [
    {
      title: 'VDI',
      facts: [
        { name: 'subformat', value: header.subformat },
        { name: 'version', value: versionText(header.version) },
        { name: 'creator', label: 'written by', value: printable(values.text.trim()) },
        ...(comment === '' ? [] : [{ name: 'comment', value: printable(comment) }]),
        { name: 'imageUuid', label: 'image UUID', value: values.imageUuid },
        { name: 'modificationUuid', label: 'modification UUID', value: values.modificationUuid },
        { name: 'blockSize', value: header.blockSize, unit: 'bytes' },
        ...(header.extra === 0
          ? []
          : [
              {
                name: 'blockExtra',
                label: 'extra bytes before each block',
                value: header.extra,
                unit: 'bytes' as const,
              },
            ]),
        { name: 'blocks', value: header.blocks, unit: 'count' },
        { name: 'blocksAllocated', label: 'blocks in the file', value: header.allocated, unit: 'count' },
        { name: 'mapPosition', label: 'block map at', value: header.mapPosition, unit: 'bytes' },
        { name: 'dataPosition', label: 'data at', value: header.dataPosition, unit: 'bytes' },
      ],
      fields: header.rows,
    },
  ]
  if (header.isChild)
    sections.push({
      title: 'Parent',
      facts: [
        { name: 'linkUuid', label: 'UUID', value: values.linkUuid },
        {
          name: 'parentModificationUuid',
          label: 'modification UUID',
          value: values.parentModificationUuid === nilUuid ? 'not recorded' : values.parentModificationUuid,
        },
      ],
    })
  return sections
}
