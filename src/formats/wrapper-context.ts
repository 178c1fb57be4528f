import { ReferenceGate } from '../location/gate.js'
import { isName, type Location } from '../location/location.js'
import type { FoundFile, WrapperContext } from './driver.js'
import { openFound } from './found-file.js'

/** What a wrapper may ask for: files that its own names, as the gate allows it. */
export function wrapperContext(
  at: Location,
  { allowReferences: allowed }: { readonly allowReferences?: readonly string[] },
  opened?: (file: FoundFile) => void,
): WrapperContext {
  return {
    name: at.name,
    openNamed: (names) => {
      const gate = new ReferenceGate({ allowed })
      const { files, failure } = gate.find({
        role: 'disk',
        image: at,
        imageName: at.label,
        names,
        verifiable: false,
        folders: [...gate.foldersOf(at)],
      })
      const [found] = files
      if (found === undefined) throw failure
      const file = { store: openFound(found), location: found.location }
      opened?.(file)
      return file
    },
    openBeside: (name) => {
      const beside = isName(name) ? at.sibling(name) : undefined
      return beside?.kind === 'file' || beside?.kind === 'member' ? beside.store() : undefined
    },
  }
}
