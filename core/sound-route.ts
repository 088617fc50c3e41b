/**
 * How sound gets to a provider: by an address from which it fetches the sound, which spares this
 * machine the upload, or by upload, which always works. Decided here, with a reason for the log.
 */

/** Whether others than this machine reach what is stored; `why` not, as the end of a sentence. */
export type StoreReach = { open: true } | { open: false; why: string };

export interface SoundFacts {
  /** `provider/model`, for the reason. */
  model: string;
  /** What the model's line in the model data says; null where it takes no address. */
  address: { readonly maxChars: number } | null;
  reach: StoreReach;
  /** The store holds exactly this sound. Undefined: not looked yet. */
  isStored: boolean | undefined;
  /** Characters of its address. Undefined: there is none yet. */
  addressChars: number | undefined;
}

export interface SoundRoute {
  by: "address" | "upload";
  why: string;
}

/** With facts still missing, `address` means that nothing speaks against it so far. */
export function planSoundRoute(facts: SoundFacts): SoundRoute {
  const { model, address, reach, isStored, addressChars = 0 } = facts;
  if (address === null) return byUpload(`${model} takes no address`);
  if (!reach.open) return byUpload(reach.why);
  if (isStored === false) return byUpload("this sound is not in the bucket by itself");
  if (addressChars > address.maxChars) {
    return byUpload(
      `its address has ${addressChars} characters, and ${model} takes ${address.maxChars}`,
    );
  }
  return { by: "address", why: `${model} fetches it from the bucket` };
}

function byUpload(why: string): SoundRoute {
  return { by: "upload", why };
}
