//! A list that grows a page at a time: nothing is copied when it grows, and little is unused.

/// Elements of a page.
const PAGE: usize = 1 << SHIFT;
const SHIFT: u32 = 10;

/// The list.
#[derive(Debug)]
pub(crate) struct Paged<T> {
    pages: Vec<Vec<T>>,
}

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T> Paged<T> {
    pub(crate) fn len(&self) -> usize {
        match self.pages.last() {
            Some(last) => (self.pages.len() - 1) * PAGE + last.len(),
            None => 0,
        }
    }

    pub(crate) fn push(&mut self, element: T) {
        match self.pages.last_mut() {
            Some(last) if last.len() < PAGE => last.push(element),
            _ => {
                let mut page = Vec::with_capacity(PAGE);
                page.push(element);
                self.pages.push(page);
            }
        }
    }

    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.pages
            .get((index >> SHIFT) as usize)?
            .get(index as usize % PAGE)
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.pages
            .get_mut((index >> SHIFT) as usize)?
            .get_mut(index as usize % PAGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stay_where_they_are() {
        let mut list = Paged::default();
        for i in 0..3 * PAGE as u32 + 7 {
            assert_eq!(list.len(), i as usize);
            list.push(i);
        }
        for i in 0..list.len() as u32 {
            assert_eq!(list.get(i), Some(&i));
        }
        assert_eq!(list.get(list.len() as u32), None);
        assert_eq!(list.get(u32::MAX), None);
        if let Some(element) = list.get_mut(2000) {
            *element = 7;
        }
        assert_eq!(list.get(2000), Some(&7));
    }
}
